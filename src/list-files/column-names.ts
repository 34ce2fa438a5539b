import type { Feature } from '../contract/contract.ts';

/** Without case, accents, spaces, punctuation and `_`: `Minutos de día`, `MINUTOS_DE_DIA` and `minutos-de-dia` are one. */
export function comparable(name: string): string {
  return name
    .normalize('NFKD')
    .replaceAll(/[^\p{L}\p{N}]/gu, '')
    .toLowerCase();
}

/** Usual names of the column with the customer's id, comparable; where several are there, the first of these is taken. */
const idNames = [
  'customerid',
  'idcliente',
  'clienteid',
  'iddecliente',
  'iddelcliente',
  'identificadordecliente',
  'identificadordelcliente',
  'identificadorcliente',
  'codigocliente',
  'codigodecliente',
  'codigodelcliente',
  'codcliente',
  'numerocliente',
  'numerodecliente',
  'numcliente',
  'nocliente',
  'nodecliente',
  'ncliente',
  'clientid',
  'idcustomer',
  'idclient',
  'customernumber',
  'customercode',
  'customerno',
  'clientnumber',
  'clientcode',
  'id',
  'identificador',
  'codigo',
  'cliente',
  'customer',
  'client',
];

/** Where in the preferences a column's name stands; undefined when it is no name of an id. */
export function idPreference(name: string): number | undefined {
  const found = idNames.indexOf(comparable(name));
  return found === -1 ? undefined : found;
}

/** Every name that a column with this feature may have, comparable, the contract's own name first. */
export function namesOf({ name, names }: Pick<Feature, 'name' | 'names'>): string[] {
  return [name, names.en, names.es].map(comparable);
}
