type Fault = 'duplicate_key' | 'too_deep' | 'too_many_keys' | 'too_many_values';

/** JSON that JSON.parse would take, or take the last of: the same key twice, or more of anything than any honest body. */
export class StrictJsonError extends Error {
  override name = 'StrictJsonError';
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault);
    this.fault = fault;
  }
}

/** Of one object: a contract's features are the most names that an honest one has. */
const maxKeys = 1_024;
/** Of all objects of a body: 1,000 customers with 97 features each. */
const maxAllKeys = 100_000;
/** Objects and arrays of one body. */
const maxContainers = 25_000;
const [quote, colon, openBrace, closeBrace, openBracket, closeBracket] = Buffer.from('":{}[]');
const space = 0x20;

/**
 * Parses JSON and refuses duplicate keys, at any level and however they are escaped, nesting deeper than `maxDepth`, and
 * more keys or values than any honest body has: what is made of those would hold the event loop.
 * One pass over the text before JSON.parse, which does all the rest.
 * @throws StrictJsonError, or SyntaxError as JSON.parse does.
 */
export function parseStrictJson(text: string, maxDepth: number): unknown {
  /** The keys of each object that is open, undefined before the first; null for an array. */
  const open: (Set<string> | undefined | null)[] = [];
  let containers = 0;
  let allKeys = 0;
  for (let at = 0; at < text.length; at += 1) {
    const mark = text.charCodeAt(at);
    if (mark === quote) {
      const end = endOfString(text, at);
      const level = open.length - 1;
      if (level >= 0 && open[level] !== null && isKey(text, end + 1)) {
        addKey((open[level] ??= new Set()), text.slice(at, end + 1));
        allKeys += 1;
        if (allKeys > maxAllKeys) throw new StrictJsonError('too_many_keys');
      }
      at = end;
    } else if (mark === openBrace || mark === openBracket) {
      if (open.length === maxDepth) throw new StrictJsonError('too_deep');
      containers += 1;
      if (containers > maxContainers) throw new StrictJsonError('too_many_values');
      open.push(mark === openBrace ? undefined : null);
    } else if (mark === closeBrace || mark === closeBracket) open.pop();
  }
  return JSON.parse(text);
}

function isKey(text: string, from: number): boolean {
  let at = from;
  while (text.charCodeAt(at) <= space) at += 1;
  return text.charCodeAt(at) === colon;
}

function addKey(keys: Set<string>, literal: string) {
  const key = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  if (keys.has(key)) throw new StrictJsonError('duplicate_key');
  if (keys.size === maxKeys) throw new StrictJsonError('too_many_keys');
  keys.add(key);
}

/** The place of the closing quote, or the end of a text that has none: JSON.parse says what is wrong with it. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === '\\') backslashes += 1;
  return backslashes % 2 === 1;
}
