import type { DecimalSign } from './list-format.ts';

/** Powers of ten that a double holds exactly: an integer below 2^53 divided by one is rounded once, as Number() does. */
const powersOfTen = Array.from({ length: 16 }, (_, power) => 10 ** power);
const [zero, nine, minus, comma, point] = Array.from('09-,.', (sign) => sign.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
];
const maxPlainDigits = 15;

const currency = /^(?:€|\$|£|¥|(?:US|MX)\$|EUR|USD|MXN|GBP)|(?:€|\$|£|¥|EUR|USD|MXN|GBP)$/i;
const digits = String.raw`\d+`;
/** Groups of three, all with one thousands sign. */
const grouped = (thousands: string) => String.raw`[1-9]\d{0,2}(?:([${thousands}])\d{3})(?:\1\d{3})*`;
const exponent = '(?:e[+-]?\\d{1,4})?';
const spaces = String.raw`\s'’`;

const forms = {
  ',': new RegExp(`^(?:${digits}(?:,\\d+)?${exponent}|,\\d+${exponent}|${grouped(`.${spaces}`)}(?:,\\d+)?)$`, 'i'),
  '.': new RegExp(
    `^(?:${digits}(?:\\.\\d+)?${exponent}|\\.\\d+${exponent}|${grouped(`,${spaces}`)}(?:\\.\\d+)?)$`,
    'i',
  ),
};

/**
 * The number that a cell shows in a file with this decimal sign: with thousands signs where groups of three fit, a
 * currency, a sign before or behind, or in parentheses for a negative one. Undefined when it shows none.
 */
export function readNumber(cell: string, decimal: DecimalSign): number | undefined {
  return readPlain(cell, decimal === ',' ? comma : point) ?? readDecorated(cell, decimal);
}

/** Digits, at most one decimal sign, a minus: nearly every cell. */
function readPlain(cell: string, decimalSign: number): number | undefined {
  const start = cell.charCodeAt(0) === minus ? 1 : 0;
  const { length } = cell;
  if (length === start || length - start > maxPlainDigits + 1) return undefined;
  let value = 0;
  let decimals = -1;
  for (let at = start; at < length; at += 1) {
    const code = cell.charCodeAt(at);
    if (code >= zero && code <= nine) {
      value = value * 10 + (code - zero);
      if (decimals >= 0) decimals += 1;
    } else if (code === decimalSign && decimals < 0) decimals = 0;
    else return undefined;
  }
  if (decimals === 0 || (decimals < 0 && length - start > maxPlainDigits)) return undefined;
  if (decimals > 0) value /= powersOfTen[decimals] as number;
  return start === 1 ? -value : value;
}

/** A cell's digits and separators, without what may stand around them. */
export function undecorate(cell: string): { body: string; isNegative: boolean } {
  let body = cell.trim();
  const inParentheses = body.startsWith('(') && body.endsWith(')');
  if (inParentheses) body = body.slice(1, -1).trim();
  let sign = '';
  const withoutSign = () => {
    const [found] = (sign === '' && /^[-−+]|[-−+]$/.exec(body)) || [''];
    sign ||= found;
    if (found !== '') body = (body.startsWith(found) ? body.slice(1) : body.slice(0, -1)).trim();
  };
  withoutSign();
  body = body.replace(currency, '').trim();
  withoutSign();
  if (inParentheses && sign !== '') return { body: '', isNegative: false };
  return { body, isNegative: inParentheses || sign === '-' || sign === '−' };
}

function readDecorated(cell: string, decimal: DecimalSign): number | undefined {
  const { body, isNegative } = undecorate(cell);
  if (!forms[decimal].test(body)) return undefined;
  const ungrouped = body.replaceAll(decimal === ',' ? /[.\s'’]/g : /[,\s'’]/g, '');
  const value = Number(decimal === ',' ? ungrouped.replace(',', '.') : ungrouped);
  return isNegative ? -value : value;
}
