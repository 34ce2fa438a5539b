import { describe, expect, it } from '@jest/globals';
import { readSettings, type SettingsError } from '../src/settings.ts';

function faultsOf(environment: Record<string, string>): string[] {
  try {
    readSettings(environment);
    return [];
  } catch (error) {
    return (error as SettingsError).faults;
  }
}

it('works with nothing set: embedded model server, PGlite, loopback', () => {
  const settings = readSettings({});
  expect(settings.http).toMatchObject({ host: '127.0.0.1', port: 3000, tls: null });
  expect(settings.modelServer).toMatchObject({ remote: null, timeoutMs: 10_000, concurrency: 2, maxRows: 512 });
  expect(settings.database).toEqual({ url: null, dataDir: './data' });
  expect(settings.access).toBe('none');
});

it('is frozen, down to the last group', () => {
  const settings = readSettings({});
  expect(() => Object.assign(settings.modelServer, { timeoutMs: 1 })).toThrow(TypeError);
});

it('reports every fault at once, contradictions among them', () => {
  expect(
    faultsOf({
      HOST: '0.0.0.0',
      PORT: '80a',
      MODEL_SERVER_TIMEOUT_MS: '-1',
      MODEL_SERVER_ALLOW_HTTP: 'yes',
      MODEL_SERVER_CA_FILE: '/none/such.pem',
      LOG_LEVEL: 'loud',
      TLS_CERT_FILE: 'package.json',
    }).map((fault) => fault.split(' ')[0]),
  ).toEqual(
    expect.arrayContaining([
      'PORT',
      'MODEL_SERVER_TIMEOUT_MS',
      'MODEL_SERVER_ALLOW_HTTP',
      'MODEL_SERVER_CA_FILE',
      'LOG_LEVEL',
      'TLS_CERT_FILE',
      'ACCESS',
      'MODEL_SERVER_URL',
    ]),
  );
});

describe('refuses', () => {
  it.each([
    ['http to the model server', { MODEL_SERVER_URL: 'http://mlflow:8124' }],
    ['another protocol', { MODEL_SERVER_URL: 'ftp://mlflow' }],
    ['a password in the address', { MODEL_SERVER_URL: 'https://a:b@mlflow:8124' }],
    ['everybody from everywhere', { HOST: '0.0.0.0', MODEL_SERVER_URL: 'embedded' }],
    ['the sample model for others by mistake', { HOST: '0.0.0.0', ACCESS: 'own' }],
    ['certificate checks switched off', { NODE_TLS_REJECT_UNAUTHORIZED: '0' }],
    ['a database that is not PostgreSQL', { DATABASE_URL: 'mysql://x' }],
    ['half a client certificate', { MODEL_SERVER_CLIENT_CERT_FILE: 'package.json' }],
    ['a live version by stage and by alias', { MODEL_STAGE: 'Production', MODEL_ALIAS: 'champion' }],
    ['contracts from a registry that is not set', { MODEL_CONTRACT: 'registry' }],
    [
      'contracts over plain http',
      {
        MODEL_CONTRACT: 'registry',
        MLFLOW_TRACKING_URI: 'http://mlflow:5000',
        MODEL_SERVER_URL: 'https://mlflow:8124',
      },
    ],
    ['a contract that is not there', { MODEL_CONTRACT: 'none.json' }],
    ['the registry beside a file', { MODEL_CONTRACT: 'registry,package.json' }],
    ['labels that are too old at once', { MAX_LABEL_AGE_DAYS: '0' }],
    ['an age in words', { MAX_LABEL_AGE_DAYS: '30 days' }],
    ['a way in that is not built', { ACCESS: 'ldap' }],
  ])('%s', (_what, environment) => {
    expect(faultsOf(environment as Record<string, string>)).toHaveLength(1);
  });
});

it.each([
  ['http where it is said', { MODEL_SERVER_URL: 'http://mlflow:8124', MODEL_SERVER_ALLOW_HTTP: 'true' }],
  ['the sample model for others, where it is said', { HOST: '::', ACCESS: 'own', MODEL_SERVER_URL: 'embedded' }],
  ['an alias beside an empty stage', { MODEL_STAGE: '', MODEL_ALIAS: 'champion' }],
  ['the registry over http, which only explains', { MLFLOW_TRACKING_URI: 'http://mlflow:5000' }],
  ['half a day', { MAX_LABEL_AGE_DAYS: '0.5' }],
  ['an empty value as not set', { PORT: '', DATABASE_URL: '' }],
])('takes %s', (_what, environment) => {
  expect(faultsOf(environment as Record<string, string>)).toEqual([]);
});

describe('contracts come', () => {
  const server = { MODEL_SERVER_URL: 'https://mlflow:8124' };
  const https = { MLFLOW_TRACKING_URI: 'https://mlflow:5000' };
  const http = { MLFLOW_TRACKING_URI: 'http://mlflow:5000' };
  const sample = [expect.stringMatching(/config\/rfc_tune\/contract\.json$/)];
  it.each<[string, Record<string, string>, unknown]>([
    ['from the sample when nothing is set', {}, sample],
    ['from the registry when it and a model server are set', { ...server, ...https }, null],
    ['from the registry over http where that is allowed', { ...server, ...http, MLFLOW_ALLOW_HTTP: 'true' }, null],
    ['from the sample when the registry is set over http', { ...server, ...http }, sample],
    ['from the sample when the embedded model server answers', https, sample],
    [
      'from the registry for the embedded model server, where it is said',
      { ...https, MODEL_CONTRACT: 'registry' },
      null,
    ],
    ['from files before any registry', { ...server, ...https, MODEL_CONTRACT: 'package.json' }, ['package.json']],
  ])('%s', (_what, environment, files) => {
    expect(readSettings(environment).contractFiles).toEqual(files);
  });
});
