import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { holdsCertificate, isPair } from './certificate-files.ts';
import { locales } from './locale.ts';
import { OperatorError } from './operator-error.ts';

const dayMs = 86_400_000;
const defaultContract = fileURLToPath(new URL('../config/rfc_tune/contract.json', import.meta.url));

const integer = (minimum: number, maximum: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(minimum, `must be at least ${minimum}`).max(maximum, `must be at most ${maximum}`));
const yesNo = z.enum(['true', 'false'], 'must be true or false').transform((text) => text === 'true');
const file = z.string().refine(existsSync, 'names a file that is not there');
const certificateFile = file.refine(
  (path) => !existsSync(path) || holdsCertificate(path),
  'names a file that holds no PEM certificate',
);
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);
const isTheRegistry = (files: readonly string[]) => String(files) === 'registry';
const webUrl = z.url({ protocol: /^https?$/, error: 'must be an http(s) address' });

/** Every setting, its default and how it is read. One row a setting; the README's table is checked against it. */
export const settingSchemas = {
  HOST: z.string().default('127.0.0.1'),
  PORT: integer(0, 65_535).default(3000),
  TLS_CERT_FILE: certificateFile.optional(),
  TLS_KEY_FILE: file.optional(),
  MODEL_SERVER_URL: z.union([z.literal('embedded'), webUrl], 'must be an https address, or embedded').optional(),
  MODEL_SERVER_ALLOW_HTTP: yesNo.default(false),
  MODEL_SERVER_CA_FILE: certificateFile.optional(),
  MODEL_SERVER_CLIENT_CERT_FILE: certificateFile.optional(),
  MODEL_SERVER_CLIENT_KEY_FILE: file.optional(),
  MODEL_SERVER_TIMEOUT_MS: integer(50, 600_000).default(10_000),
  MODEL_SERVER_CONCURRENCY: integer(1, 64).default(2),
  MODEL_SERVER_MAX_ROWS: integer(1, 65_536).default(512),
  MODEL_SERVER_MAX_QUEUED_ROWS: integer(1, 1_000_000).default(10_000),
  MLFLOW_TRACKING_URI: webUrl.optional(),
  MLFLOW_ALLOW_HTTP: yesNo.default(false),
  MLFLOW_CA_FILE: certificateFile.optional(),
  MODEL_NAME: z.string().optional(),
  MODEL_STAGE: z.string().default('Production'),
  MODEL_ALIAS: z.string().optional(),
  MODEL_CONTRACT: list
    .refine((files) => files.length > 0, 'names no file')
    .refine((files) => isTheRegistry(files) || files.every(existsSync), 'names a file that is not there')
    .optional(),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// address' }).optional(),
  DATA_DIR: z.string().default('./data'),
  MAX_LABEL_AGE_DAYS: z
    .string()
    .regex(/^\d{1,5}(\.\d{1,6})?$/, 'must be a number of days')
    .transform(Number)
    .pipe(z.number().positive('must be more than 0'))
    .optional(),
  MAX_LIST_ROWS: integer(1, 1_000_000_000).default(5_000_000),
  LIST_RETENTION_DAYS: integer(1, 3_650).default(30),
  OUTAGE_FALLBACK: z.enum(['none', 'embedded'], 'must be none or embedded').default('none'),
  ACCESS: z
    .string()
    .regex(/^(none|own)$/, 'must be none or own')
    .default('none'),
  CORS_ORIGINS: list
    .pipe(z.array(z.url({ error: 'must be a comma list of origins such as https://erp.example' })))
    .default([]),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).default('info'),
  DEFAULT_LOCALE: z.enum(locales).default('en'),
};

const schema = z.object(settingSchemas);
type Values = z.output<typeof schema>;

/** What the service is told, grouped by who needs it. Read once, frozen, whole: a subsystem is all there or null. */
export type Settings = ReturnType<typeof group>;

/** Thrown with every fault at once, one line each, ready to be shown to the operator. */
export class SettingsError extends OperatorError {
  override name = 'SettingsError';
  readonly faults: string[];

  constructor(faults: string[]) {
    super(['The settings cannot be used:', ...faults.map((fault) => `  ${fault}`)].join('\n'));
    this.faults = faults;
  }
}

/**
 * Reads and checks all settings.
 * @param environment variables by name, such as process.env after dotenv; an empty string counts as not set.
 * @throws SettingsError naming every setting that is not understood.
 */
export function readSettings(environment: Record<string, string | undefined>): Settings {
  const given = Object.fromEntries(
    Object.keys(settingSchemas).flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])),
  );
  const parsed = schema.safeParse(given);
  const faults = parsed.success ? [] : parsed.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`);
  const values = { ...schema.parse({}), ...(parsed.success ? parsed.data : validPart(given)) };
  faults.push(...contradictions(values, environment));
  if (faults.length > 0) throw new SettingsError(faults);
  return deepFreeze(group(values));
}

function validPart(given: Record<string, string | undefined>) {
  return Object.fromEntries(
    Object.entries(settingSchemas).flatMap(([name, one]) => {
      const parsed = one.safeParse(given[name]);
      return parsed.success ? [[name, parsed.data]] : [];
    }),
  );
}

function contradictions(values: Values, environment: Record<string, string | undefined>): string[] {
  const faults: string[] = [];
  const together = (a: keyof Values, b: keyof Values) => {
    const [certificate, key] = [values[a], values[b]];
    if ((certificate === undefined) !== (key === undefined)) faults.push(`${a} and ${b} go together`);
    else if (certificate !== undefined && !isPair(certificate as string, key as string))
      faults.push(`${a} and ${b} do not fit: that is not the certificate's unencrypted PEM key`);
  };
  together('TLS_CERT_FILE', 'TLS_KEY_FILE');
  together('MODEL_SERVER_CLIENT_CERT_FILE', 'MODEL_SERVER_CLIENT_KEY_FILE');
  if (!isLoopback(values.HOST)) {
    if (values.ACCESS === 'none')
      faults.push(`ACCESS none is only for this machine: with HOST ${values.HOST} set ACCESS=own`);
    if (values.MODEL_SERVER_URL === undefined)
      faults.push(
        `MODEL_SERVER_URL must be set with HOST ${values.HOST}: the model server's address, or embedded if the sample model is meant`,
      );
  }
  if (values.MODEL_SERVER_URL?.startsWith('http:') && !values.MODEL_SERVER_ALLOW_HTTP)
    faults.push('MODEL_SERVER_URL must be https (MODEL_SERVER_ALLOW_HTTP=true sends customers in clear text)');
  if (values.MODEL_SERVER_URL && values.MODEL_SERVER_URL !== 'embedded' && /\/\/[^/]*@/.test(values.MODEL_SERVER_URL))
    faults.push('MODEL_SERVER_URL must not carry a user or password');
  const isRegistryWanted = values.MODEL_CONTRACT !== undefined && isTheRegistry(values.MODEL_CONTRACT);
  if (isRegistryWanted && values.MLFLOW_TRACKING_URI === undefined)
    faults.push('MODEL_CONTRACT registry needs MLFLOW_TRACKING_URI, the address of the registry');
  else if (isRegistryWanted && !isRegistryTrusted(values))
    faults.push(
      'MODEL_CONTRACT registry takes no contract over plain http, where anybody in between could change it: serve the registry over https, or set MLFLOW_ALLOW_HTTP=true',
    );
  if (environment['MODEL_STAGE'] && values.MODEL_ALIAS !== undefined)
    faults.push('MODEL_STAGE and MODEL_ALIAS exclude each other: the live version is known by one of them');
  if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
    faults.push(
      'NODE_TLS_REJECT_UNAUTHORIZED=0 switches certificate checks off: remove it and set MODEL_SERVER_CA_FILE',
    );
  return faults;
}

/** Whether contracts may be taken from the registry. */
function isRegistryTrusted({ MLFLOW_TRACKING_URI: url, MLFLOW_ALLOW_HTTP: allowHttp }: Values): boolean {
  return url !== undefined && (new URL(url).protocol === 'https:' || allowHttp);
}

/** True for the addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function group(values: Values) {
  const embedded = values.MODEL_SERVER_URL === undefined || values.MODEL_SERVER_URL === 'embedded';
  return {
    http: {
      host: values.HOST,
      port: values.PORT,
      tls: pair(values.TLS_CERT_FILE, values.TLS_KEY_FILE),
      corsOrigins: values.CORS_ORIGINS,
    },
    modelServer: {
      /** null: the embedded model server answers. */
      remote: embedded
        ? null
        : {
            url: values.MODEL_SERVER_URL as string,
            caFile: values.MODEL_SERVER_CA_FILE,
            clientCertificate: pair(values.MODEL_SERVER_CLIENT_CERT_FILE, values.MODEL_SERVER_CLIENT_KEY_FILE),
          },
      timeoutMs: values.MODEL_SERVER_TIMEOUT_MS,
      concurrency: values.MODEL_SERVER_CONCURRENCY,
      maxRows: values.MODEL_SERVER_MAX_ROWS,
      maxQueuedRows: values.MODEL_SERVER_MAX_QUEUED_ROWS,
    },
    /** Says which version should be live; null: nobody is asked. */
    registry:
      values.MLFLOW_TRACKING_URI === undefined
        ? null
        : {
            url: values.MLFLOW_TRACKING_URI,
            caFile: values.MLFLOW_CA_FILE,
            /** null: the contract's; rfc_tune when contracts come from the registry. */
            modelName: values.MODEL_NAME ?? null,
            selector: values.MODEL_ALIAS === undefined ? { stage: values.MODEL_STAGE } : { alias: values.MODEL_ALIAS },
          },
    /** Of the versions that may answer; the one that should be live first. null: they come from the registry. */
    contractFiles: contractFiles(values, embedded),
    /** A label confirmed longer ago is stale; null: age alone makes none stale. */
    maxLabelAgeMs: values.MAX_LABEL_AGE_DAYS === undefined ? null : values.MAX_LABEL_AGE_DAYS * dayMs,
    /** Whether the version's ONNX copy labels while the model server is away. */
    hasFallback: values.OUTAGE_FALLBACK === 'embedded' && !embedded,
    lists: { maxRows: values.MAX_LIST_ROWS, retentionMs: values.LIST_RETENTION_DAYS * dayMs },
    database: { url: values.DATABASE_URL ?? null, dataDir: values.DATA_DIR },
    access: values.ACCESS as 'none' | 'own',
    logLevel: values.LOG_LEVEL,
    defaultLocale: values.DEFAULT_LOCALE,
  };
}

function contractFiles(values: Values, embedded: boolean): [string, ...string[]] | null {
  const { MODEL_CONTRACT: given } = values;
  if (given === undefined) return !embedded && isRegistryTrusted(values) ? null : [defaultContract];
  return isTheRegistry(given) ? null : (given as [string, ...string[]]);
}

function pair(certFile: string | undefined, keyFile: string | undefined) {
  return certFile === undefined || keyFile === undefined ? null : { certFile, keyFile };
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
