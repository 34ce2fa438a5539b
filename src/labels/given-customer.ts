import { escapePointer, type FeatureVector, maxUnknownNames, type ParseFeatures } from '../contract/feature-vector.ts';
import { type InputFault, ServiceError } from '../errors.ts';
import { isPlainText } from '../plain-text.ts';

/** An id of a customer in the ERP: 1 to 128 characters, none of them a control character, and well-formed Unicode. */
export function isCustomerId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && hasAtMost(128, value) && isPlainText(value);
}

/** Counted in characters, as zod and the OpenAPI document count them; a character is one or two UTF-16 units. */
function hasAtMost(characters: number, text: string): boolean {
  return text.length <= characters || (text.length <= 2 * characters && Array.from(text).length <= characters);
}

/** `{ features, scale? }` of one customer. @throws ServiceError invalid_features with every fault. */
export function parseFeaturesBody(body: unknown, parse: ParseFeatures): FeatureVector {
  const fields = fieldsOf(body, '#');
  const parsed = parse(fields, '#');
  const faults = [...unknownFields(fields, ['features', 'scale'], '#'), ...('faults' in parsed ? parsed.faults : [])];
  if (!('vector' in parsed) || faults.length > 0) throw new ServiceError('invalid_features', { faults });
  return parsed.vector;
}

/** `{ id, features, scale? }` in a list. @throws ServiceError invalid_features with every fault. */
export function parseCustomer(body: unknown, parse: ParseFeatures, pointer: string): FeatureVector {
  const fields = fieldsOf(body, pointer);
  const { id } = fields;
  const parsed = parse(fields, pointer);
  const faults = [
    ...(isCustomerId(id) ? [] : [{ pointer: `${pointer}/id`, code: 'invalid_customer_id' } as const]),
    ...unknownFields(fields, ['id', 'features', 'scale'], pointer),
    ...('faults' in parsed ? parsed.faults : []),
  ];
  if (!('vector' in parsed) || !isCustomerId(id) || faults.length > 0)
    throw new ServiceError('invalid_features', { faults });
  return parsed.vector;
}

/** The list of `{ customers: […] }`. @throws ServiceError invalid_request, too_many_customers */
export function parseCustomerList(body: unknown, maxCustomers: number): unknown[] {
  const fields = fieldsOf(body, '#');
  const { customers } = fields;
  const faults = unknownFields(fields, ['customers'], '#');
  if (!Array.isArray(customers) || customers.length === 0)
    faults.push({ pointer: '#/customers', code: 'wrong_type', expected: `[{…}] (1–${maxCustomers})` });
  if (faults.length > 0) throw new ServiceError('invalid_request', { faults });
  if ((customers as unknown[]).length > maxCustomers) throw new ServiceError('too_many_customers');
  return customers as unknown[];
}

function fieldsOf(body: unknown, pointer: string): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw new ServiceError('invalid_request', { faults: [{ pointer, code: 'wrong_type', expected: '{…}' }] });
}

function unknownFields(fields: object, known: string[], pointer: string): InputFault[] {
  return Object.keys(fields)
    .filter((field) => !known.includes(field))
    .slice(0, maxUnknownNames)
    .map((field) => ({ pointer: `${pointer}/${escapePointer(field)}`, code: 'unknown_field' }));
}
