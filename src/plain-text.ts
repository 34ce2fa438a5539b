/**
 * Well-formed Unicode without control characters: what a database takes and a log or a page can show. A byte order mark
 * at the beginning is no text either: PGlite gives it back without.
 */
export function isPlainText(text: string): boolean {
  return text.isWellFormed() && !/\p{Cc}|^\uFEFF/u.test(text);
}
