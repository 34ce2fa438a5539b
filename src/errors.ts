import { listFaultTexts } from './list-files/list-fault-texts.ts';
import type { Locale, Localized } from './locale.ts';

interface ErrorKind {
  status: number;
  retryable: boolean;
  title: Localized;
}

/** Every error a caller can meet. Codes are the interface; titles may be reworded. */
export const errorTable = {
  malformed_json: kind(400, 'The body is not valid JSON', 'El cuerpo no es JSON válido'),
  duplicate_key: kind(400, 'The body has the same key twice', 'El cuerpo tiene la misma clave dos veces'),
  malformed_request: kind(400, 'The request is not well-formed HTTP', 'La petición no es HTTP bien formado'),
  malformed_url: kind(400, 'The address is not well formed', 'La dirección no está bien formada'),
  missing_idempotency_key: kind(400, 'The header Idempotency-Key is missing', 'Falta la cabecera Idempotency-Key'),
  not_authenticated: kind(401, 'An API key is needed', 'Hace falta una clave de API'),
  not_allowed: kind(403, 'This key may not do that', 'Esta clave no permite hacer eso'),
  not_found: kind(404, 'There is nothing at this address', 'No hay nada en esta dirección'),
  label_not_found: kind(404, 'This customer has no label yet', 'Este cliente aún no tiene etiqueta'),
  key_not_found: kind(404, 'There is no such API key', 'No existe esa clave de API'),
  batch_not_found: kind(404, 'There is no such list', 'No existe esa lista'),
  method_not_allowed: kind(405, 'This address does not take that method', 'Esta dirección no admite ese método'),
  idempotency_in_progress: kind(
    409,
    'A list with this Idempotency-Key is still coming in',
    'Una lista con esta Idempotency-Key aún está llegando',
  ),
  batch_not_ended: kind(409, 'The list is still being labelled', 'La lista aún se está etiquetando'),
  body_too_large: kind(413, 'The body is too large', 'El cuerpo es demasiado grande'),
  too_many_customers: kind(413, 'Too many customers in one request', 'Demasiados clientes en una petición'),
  unsupported_media_type: kind(
    415,
    'The body is of a type or encoding that is not taken here',
    'El cuerpo es de un tipo o codificación que aquí no se admite',
  ),
  invalid_features: kind(422, 'The features cannot be labelled', 'Las variables no se pueden etiquetar'),
  invalid_request: kind(422, 'The request cannot be understood', 'La petición no se entiende'),
  invalid_list: kind(422, 'The customer list cannot be read', 'La lista de clientes no se puede leer'),
  idempotency_conflict: kind(
    422,
    'This Idempotency-Key belongs to another list',
    'Esta Idempotency-Key es de otra lista',
  ),
  internal: kind(500, 'Something went wrong on our side', 'Algo ha fallado por nuestra parte'),
  model_bad_answer: retryable(
    502,
    'The model server gave an unusable answer',
    'El servidor del modelo dio una respuesta inservible',
  ),
  model_unavailable: retryable(503, 'The model server cannot be reached', 'No se llega al servidor del modelo'),
  model_untrusted: retryable(
    503,
    'The model server did not prove to be the right one',
    'El servidor del modelo no ha demostrado ser el correcto',
  ),
  overloaded: retryable(503, 'Too many customers are waiting', 'Hay demasiados clientes esperando'),
  database_unavailable: retryable(503, 'The database cannot be reached', 'No se llega a la base de datos'),
  not_ready: retryable(503, 'The service is starting or stopping', 'El servicio está arrancando o parando'),
  deadline: retryable(504, 'No answer in time', 'No hubo respuesta a tiempo'),
} satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorTable;

function kind(status: number, en: string, es: string): ErrorKind {
  return { status, retryable: false, title: { en, es } };
}

function retryable(status: number, en: string, es: string): ErrorKind {
  return { status, retryable: true, title: { en, es } };
}

/** One thing wrong with an input: where (JSON pointer), what (stable code), and what was expected there. */
export interface InputFault {
  pointer: string;
  code: InputFaultCode;
  expected?: string | number;
}

/** Every code of an input fault, and its sentence. */
export const inputFaultTexts = {
  feature_missing: () => ({ en: 'This feature is missing.', es: 'Falta esta variable.' }),
  feature_unknown: () => ({ en: 'The model has no such feature.', es: 'El modelo no tiene esta variable.' }),
  feature_count: (n) => ({ en: `The model takes ${n} features.`, es: `El modelo toma ${n} variables.` }),
  not_a_number: () => ({ en: 'This must be a number.', es: 'Debe ser un número.' }),
  not_finite: () => ({ en: 'This must be a finite number.', es: 'Debe ser un número finito.' }),
  out_of_float32: () => ({
    en: 'This number, or its standardized value, is beyond what the model can read.',
    es: 'Este número, o su valor estandarizado, supera lo que el modelo puede leer.',
  }),
  not_allowed_value: (x) => ({ en: `Allowed: ${x}.`, es: `Se admite: ${x}.` }),
  refused_by_model: () => ({
    en: 'The model server refused these features.',
    es: 'El modelo rechazó estas variables.',
  }),
  refused_with_others: () => ({
    en: 'The model server refused many rows; this one stood among them and was not asked for alone. Send it again.',
    es: 'El modelo rechazó muchas filas; esta estaba entre ellas y no se probó sola. Envíela otra vez.',
  }),
  outside_training_range: (x) => ({
    en: `The model saw values from ${x} in training.`,
    es: `El modelo vio en su entrenamiento valores de ${x}.`,
  }),
  scale_missing: () => ({
    en: 'An array must say its scale: "raw" or "standardized".',
    es: 'Una lista debe indicar su escala: "raw" o "standardized".',
  }),
  unknown_scale: () => ({ en: 'Allowed: "raw" or "standardized".', es: 'Se admite: "raw" o "standardized".' }),
  wrong_type: (x) => ({ en: `This must be ${x}.`, es: `El tipo debe ser ${x}.` }),
  unknown_field: () => ({ en: 'This field is not known here.', es: 'Este campo no se conoce aquí.' }),
  invalid_customer_id: () => ({
    en: 'A customer id is 1 to 128 characters, without control characters.',
    es: 'Un identificador de cliente tiene de 1 a 128 caracteres, sin caracteres de control.',
  }),
  invalid_value: (x) => ({ en: `Allowed: ${x}.`, es: `Se admite: ${x}.` }),
  ...listFaultTexts,
} satisfies Record<string, (expected: string | number | undefined) => Localized>;

export type InputFaultCode = keyof typeof inputFaultTexts;

/** The fault as callers see it: pointer, code and a sentence in their language. */
export function describeFault(fault: InputFault, locale: Locale) {
  return { pointer: fault.pointer, code: fault.code, detail: inputFaultTexts[fault.code](fault.expected)[locale] };
}

interface ServiceErrorOptions {
  /** For the log, never for the caller. */
  reason?: string;
  faults?: InputFault[];
  retryAfterSeconds?: number;
  cause?: unknown;
}

/** The one error the service throws on purpose. `code` is a key of the error table. */
export class ServiceError extends Error {
  override name = 'ServiceError';
  readonly code: ErrorCode;
  readonly faults: InputFault[];
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, options: ServiceErrorOptions = {}) {
    super(options.reason ?? errorTable[code].title.en, { cause: options.cause });
    this.code = code;
    this.faults = options.faults ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds ?? (errorTable[code].status === 503 ? 1 : undefined);
  }

  get status(): number {
    return errorTable[this.code].status;
  }
}

/** Any thrown thing as a ServiceError; what is not known becomes `internal`, with the cause kept for the log. */
export function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  if (isConnectionFault(error)) return new ServiceError('database_unavailable', { cause: error });
  if (error instanceof URIError) return new ServiceError('malformed_url', { cause: error });
  return new ServiceError('internal', { cause: error });
}

const connectionFaults =
  /^(08...|53300|57P0.|25006|ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|DATABASE_CLOSED)$/;
const poolFaults =
  /timeout exceeded when trying to connect|Connection terminated|Query read timeout|Client has encountered a connection error/;

/** Only the database throws these here: the model client maps its own faults to ServiceErrors. */
function isConnectionFault(error: unknown): boolean {
  if (!Error.isError(error)) return false;
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.some(isConnectionFault);
  const code = 'code' in error ? String(error.code) : '';
  return connectionFaults.test(code) || poolFaults.test(error.message);
}
