import type { Locale, Localized } from '../../locale.ts';
import { textsIn } from './label-texts.ts';

/** What the service answers instead (RFC 9457). */
export interface Problem {
  title: string;
  code: string;
  requestId?: string;
  errors?: { pointer: string; code: string; detail: string }[];
}

/** What a person can do about a fault of a whole list; a fault that is not here says it itself. */
const cures: Record<string, Localized> = {
  column_missing: {
    en: 'Add the column, or rename the one that has it.',
    es: 'Añada la columna, o cambie el nombre de la que lo tiene.',
  },
  column_ambiguous: { en: 'Rename or remove all but one.', es: 'Cambie el nombre o quite todas menos una.' },
  duplicate_column: { en: 'Rename or remove one of them.', es: 'Cambie el nombre o quite una de ellas.' },
  column_name_refused: { en: 'Give it another name.', es: 'Póngale otro nombre.' },
  quote_not_closed: { en: 'Close it, or write it twice ("").', es: 'Ciérrelas, o escríbalas dobles ("").' },
  record_too_long: { en: 'Look for a quote that is not closed.', es: 'Busque unas comillas sin cerrar.' },
  too_many_columns: { en: 'Say the delimiter with --delimiter.', es: 'Indique el separador con --delimiter.' },
};

interface Where {
  status: number;
  url: string;
  locale: Locale;
}

/** A refusal in sentences: what, and every fault with its place and its cure. */
export function describeProblem(problem: Problem | null, { status, url, locale }: Where): string {
  const texts = textsIn(locale);
  if (!problem?.title) return texts.notTheService(url, status);
  if (status === 401 || status === 403) return texts.keyNeeded(url, problem.title);
  const { title, errors = [], requestId } = problem;
  if (errors.length === 0)
    return status >= 500 && requestId ? `${title} (${texts.requestId} ${requestId}).` : `${title}.`;
  const lines = errors.map(({ pointer, code, detail }) => {
    const cure = cures[code]?.[locale];
    return `  ${placeOf(pointer, locale)}${detail}${cure === undefined ? '' : ` → ${cure}`}`;
  });
  return [`${title}:`, ...lines].join('\n');
}

function placeOf(pointer: string, locale: Locale): string {
  const [, kind = '', name = ''] = pointer.split('/').map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const texts = textsIn(locale);
  if (kind === 'columns') return `${name}: `;
  if (kind === 'header') return `${texts.column(Number(name) + 1)}: `;
  if (kind === 'lines') return `${texts.line(Number(name))}: `;
  return kind === 'query' ? `--${name}: ` : '';
}
