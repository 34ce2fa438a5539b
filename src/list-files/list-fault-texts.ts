import type { Localized } from '../locale.ts';

type FaultText = (expected: string | number | undefined) => Localized;

/** What can be wrong with one row of a list, beyond what can be wrong with any customer. */
const rowFaultTexts = {
  column_count: (n) => ({
    en: `The header has ${n} columns, this row has another number of them.`,
    es: `La cabecera tiene ${n} columnas y esta fila no.`,
  }),
  row_empty: () => ({ en: 'Every cell of this row is empty.', es: 'Todas las celdas de esta fila están vacías.' }),
  ambiguous_number: (x) => ({
    en: `This can be read as ${x}: say which decimal sign the file has.`,
    es: `Se puede leer como ${x}: indique el signo decimal del fichero.`,
  }),
  broken_text: (encoding) => ({
    en: `This row has bytes that are not ${encoding}.`,
    es: `Esta fila tiene bytes que no son ${encoding}.`,
  }),
  not_labelled: () => ({
    en: 'This row was not labelled: the list was ended before.',
    es: 'Esta fila no se etiquetó: la lista terminó antes.',
  }),
  malformed_json: () => ({ en: 'This line is not a JSON object.', es: 'Esta línea no es un objeto JSON.' }),
  duplicate_key: () => ({
    en: 'This line has the same key twice.',
    es: 'Esta línea tiene la misma clave dos veces.',
  }),
} satisfies Record<string, FaultText>;

/** What makes a whole file unreadable. */
const fileFaultTexts = {
  list_empty: () => ({ en: 'The file is empty.', es: 'El fichero está vacío.' }),
  not_a_text_file: (kind) => ({
    en: `This is not a text file but ${kind}: save it as CSV.`,
    es: `No es un fichero de texto sino ${kind}: guárdelo como CSV.`,
  }),
  record_too_long: (bytes) => ({
    en: `This row is longer than ${bytes} bytes; perhaps a quote is not closed.`,
    es: `Esta fila ocupa más de ${bytes} bytes; quizá falte cerrar unas comillas.`,
  }),
  too_many_columns: (n) => ({ en: `A row has at most ${n} columns.`, es: `Una fila tiene como máximo ${n} columnas.` }),
  quote_not_closed: () => ({
    en: 'A quote that is opened in this row is never closed.',
    es: 'En esta fila se abren unas comillas que no se cierran.',
  }),
  column_missing: (suggestion) => ({
    en: suggestion === undefined ? 'No column has this.' : `No column has this. Did you mean "${suggestion}"?`,
    es:
      suggestion === undefined
        ? 'Ninguna columna lo tiene.'
        : `Ninguna columna lo tiene. ¿Quiso decir «${suggestion}»?`,
  }),
  column_unknown: (name) => ({
    en: `The file has no column "${name}".`,
    es: `El fichero no tiene ninguna columna «${name}».`,
  }),
  column_taken: (name) => ({
    en: `The column "${name}" is named for two things.`,
    es: `La columna «${name}» se ha indicado para dos cosas.`,
  }),
  column_ambiguous: (names) => ({
    en: `Several columns could be this one: ${names}.`,
    es: `Varias columnas podrían ser esta: ${names}.`,
  }),
  duplicate_column: (name) => ({
    en: `Another column is called "${name}" too.`,
    es: `Otra columna se llama también «${name}».`,
  }),
  column_name_refused: (length) => ({
    en: `A column needs a name of 1 to ${length} characters, without control characters, that programs do not use themselves.`,
    es: `Una columna necesita un nombre de 1 a ${length} caracteres, sin caracteres de control, que no usen los propios programas.`,
  }),
} satisfies Record<string, FaultText>;

export const listFaultTexts = { ...rowFaultTexts, ...fileFaultTexts };
