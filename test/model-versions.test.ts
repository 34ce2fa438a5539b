import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { readContract } from '../src/contract/contract.ts';
import { OperatorError } from '../src/operator-error.ts';
import { readiness } from './support/registry-check.ts';
import { freePort } from './support/real-mlflow.ts';
import { type Registered, registered, registryOf } from './support/stand-in-artifacts.ts';
import { startTestService } from './support/test-service.ts';
import { shiftedToy, toyCustomer, toyVersion } from './support/toy-model.ts';
import {
  five,
  four,
  inMemory,
  known,
  label,
  linesOf,
  six,
  three,
  untilKnown,
  useToyRegistry,
} from './support/toy-registry.ts';
import { until } from './support/until.ts';

const toys = useToyRegistry();

it('starts with the versions of the registry, and follows a promotion and a rollback while it runs', async () => {
  await using test = await toys.start();
  expect(await known(test)).toEqual(['4', '3']);
  expect(await label(test, 'A')).toMatchObject({ model: { version: '4' } });
  expect((await readiness(test)).overall).toBe('pass');
  const artifacts = toys.artifactsAsked().length;
  const document = (await test.http.get('/openapi.json')).text;

  toys.versions = [registered(five, { stage: 'Staging' }), ...toys.versions];
  await untilKnown(test, '4', '3', '5');
  toys.versions = [
    registered(five, { stage: 'Production' }),
    registered(four, { stage: 'Archived' }),
    registered(three, { stage: 'Archived' }),
  ];
  await untilKnown(test, '5', '4');
  expect(await label(test, 'B')).toMatchObject({ model: { version: '4' } });
  toys.served = five;
  expect(await label(test, 'B')).toMatchObject({ model: { version: '5' } });
  expect(toys.artifactsAsked()).toHaveLength(artifacts + 2);
  const { body: model } = await test.http.get('/v1/model').expect(200);
  expect(model).toMatchObject({ version: '5', contract: { model: { version: '5', runId: 'run-5' } } });

  toys.versions = [
    registered(five, { stage: 'Archived' }),
    registered(four, { stage: 'Production' }),
    registered(three, { stage: 'Archived' }),
  ];
  await untilKnown(test, '4', '3', '5');
  expect(await label(test, 'C')).toMatchObject({ model: { version: '5' } });
  toys.served = four;
  expect(await label(test, 'C')).toMatchObject({ model: { version: '4' } });
  expect((await test.http.get('/openapi.json')).text).toBe(document);
  expect(linesOf(test).map((line) => line.known)).toEqual([
    ['4', '3'],
    ['4', '3', '5'],
    ['5', '4'],
    ['4', '3', '5'],
  ]);
});

it('shows the labels and features of the version that answers, in the document and in filters', async () => {
  const other = toyVersion('5', shiftedToy(0.6));
  for (const kind of other.contract.labels) kind.name = `${kind.name}er`;
  (other.contract.features[0] as { meaning: object }).meaning = { en: 'NEW MEANING', es: 'NUEVO' };
  await using test = await toys.start(inMemory);
  await test.http.get('/v1/labels?label=high').expect(200);
  expect((await test.http.get('/openapi.json')).text).not.toContain('NEW MEANING');
  toys.versions = [registered(other, { stage: 'Production' }), registered(four, { stage: 'Archived' })];
  toys.served = other;
  await untilKnown(test, '5', '4');
  await label(test, 'A');
  await test.http.get('/v1/labels?label=higher').expect(200);
  await test.http.get('/v1/labels?label=lower').expect(200);
  expect((await test.http.get('/openapi.json')).text).toContain('NEW MEANING');
});

it('gives a contract without a version the number of the registry', async () => {
  toys.editContract('4', (contract) => ({ ...contract, model: { name: 'toy', version: null, runId: null } }));
  await using test = await toys.start(inMemory);
  expect(await label(test, 'A')).toMatchObject({ model: { version: '4' } });
});

it('never drops the version that calls prove, whatever is promoted', async () => {
  await using test = await toys.start(inMemory);
  await label(test, 'A');
  toys.versions = [
    registered(six, { stage: 'Production' }),
    registered(five, { stage: 'Archived' }),
    registered(four, { stage: 'Archived' }),
  ];
  await untilKnown(test, '6', '4');
  const seven = toyVersion('7', shiftedToy(1.5));
  toys.versions = [
    registered(seven, { stage: 'Production' }),
    registered(six, { stage: 'Archived' }),
    registered(five, { stage: 'Archived' }),
  ];
  await untilKnown(test, '7', '6', '4');
  expect(await label(test, 'A')).toMatchObject({ model: { version: '4' } });
});

it('asks the registry at once when the model server begins to answer as an unknown model', async () => {
  await using test = await toys.start(inMemory, 3_600_000);
  await until(async () => (await readiness(test)).checks.registry.state === 'up');
  toys.versions = [registered(five, { stage: 'Production' }), registered(four, { stage: 'Archived' })];
  toys.served = five;
  await test.http.post('/v1/customers/A/label').send(toyCustomer()).expect(503);
  await untilKnown(test, '5', '4');
  expect(await label(test, 'A')).toMatchObject({ model: { version: '5' } });
});

it('serves the version that was first at the start, where the model server is embedded', async () => {
  const contractFile = 'config/rfc_tune/contract.json';
  const sample = readContract(contractFile);
  const onnx = readFileSync('config/rfc_tune/model.onnx');
  const as = (version: string, stage: string): Registered => {
    const model = { ...sample.model, version, runId: null };
    const artifacts = { 'contract/contract.json': JSON.stringify({ ...sample, model }), 'contract/model.onnx': onnx };
    return { version, stage, runId: `run-${version}`, artifacts };
  };
  toys.versions = [as('1', 'Production')];
  toys.registry.respond = registryOf(() => toys.versions, 'rfc_tune');
  await using test = await startTestService({
    registryEveryMs: 30,
    environment: {
      MODEL_CONTRACT: 'registry',
      MLFLOW_TRACKING_URI: toys.registry.url,
      MLFLOW_ALLOW_HTTP: 'true',
      DATA_DIR: 'memory://',
    },
  });
  const features = sample.goldenRows[0]?.features;
  const ask = async () => (await test.http.post('/v1/customers/E/label').send({ features }).expect(200)).body;
  expect(await ask()).toMatchObject({ model: { version: '1' }, source: 'embedded' });
  toys.versions = [as('2', 'Production'), as('1', 'Archived')];
  await untilKnown(test, '2', '1');
  expect(await ask()).toMatchObject({ model: { version: '1' }, source: 'embedded' });
});

describe('with the registry away', () => {
  it('starts with what is kept, and says so', async () => {
    {
      await using before = await toys.start();
      await label(before, 'A');
    }
    const url = `http://127.0.0.1:${await freePort()}`;
    await using test = await toys.start({ MLFLOW_TRACKING_URI: url });
    expect(await known(test)).toEqual(['4', '3']);
    expect(await label(test, 'A')).toMatchObject({ model: { version: '4' } });
    expect(test.log()).toMatch(
      /"level":40[^\n]*"versions":\["4","3"\][^\n]*starting with the model versions kept here/,
    );
    expect((await readiness(test)).overall).toBe('warn');
  });

  it('does not start the first time, and says what is missing and what to do', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const failed = await toys.start({ MLFLOW_TRACKING_URI: url }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(OperatorError);
    expect((failed as Error).message).toMatch(/no contract of toy[^]*ECONNREFUSED[^]*MODEL_CONTRACT/);
  });

  it('notices a folder that is torn or changed, does without it, and fetches it again', async () => {
    await (await toys.start())[Symbol.asyncDispose]();
    const folder = join(toys.dataDir, 'model-versions', 'toy');
    expect(readdirSync(folder).sort()).toEqual(['3', '4', 'versions.json']);
    const contractFile = join(folder, '4', 'contract.json');
    const whole = readFileSync(contractFile, 'utf8');
    writeFileSync(contractFile, whole.replace('"mean":170', '"mean":171'));
    writeFileSync(join(folder, '3', 'model.onnx'), 'torn');
    const url = `http://127.0.0.1:${await freePort()}`;
    const failed = await toys.start({ MLFLOW_TRACKING_URI: url }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(OperatorError);
    await using test = await toys.start();
    expect(await known(test)).toEqual(['4', '3']);
    expect(readFileSync(contractFile, 'utf8')).toBe(whole);
    expect(readFileSync(join(folder, '3', 'model.onnx'), 'utf8')).toBe('onnx of 3');
  });
});

it('keeps the last few versions that are not known any more, and removes older ones', async () => {
  await using test = await toys.start();
  for (let number = 5; number <= 13; number += 1) {
    const next = toyVersion(String(number), shiftedToy(number / 10));
    toys.versions = [
      registered(next, { stage: 'Production' }),
      ...toys.versions.map((one) => ({ ...one, stage: 'Archived' })),
    ];
    await until(async () => (await known(test))[0] === String(number));
    toys.served = next;
    await label(test, 'A');
  }
  const folder = join(toys.dataDir, 'model-versions', 'toy');
  await until(() => !existsSync(join(folder, '4')));
  expect(readdirSync(folder)).toEqual(expect.arrayContaining(['13', '12', '11', '10', '9', '8']));
  expect(readdirSync(folder).length).toBeLessThanOrEqual(3 + 1 + 5 + 1);
});
