import { describe, expect, it } from '@jest/globals';
import type { Response } from 'supertest';
import type { Contract } from '../src/contract/contract.ts';
import { createLastingDatabase, databaseKinds } from './support/databases.ts';
import { startStandIn } from './support/stand-in-model-server.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract, toyCustomer } from './support/toy-model.ts';

const ofVersion = (version: string, change: (contract: Contract) => void = () => {}) => {
  const contract = toyContract();
  contract.model.version = version;
  change(contract);
  return contract;
};
const label = (test: TestService, id: string, customer: object) =>
  test.http.post(`/v1/customers/${id}/label`).send(customer).expect(200);

async function history(test: TestService, id: string, limit: number): Promise<[string | null, string][]> {
  const seen: [string | null, string][] = [];
  let next: string | null = '';
  while (next !== null) {
    const cursor: string = next && `&cursor=${next}`;
    const page: Response = await test.http.get(`/v1/customers/${id}/labels?limit=${limit}${cursor}`).expect(200);
    expect(page.body.labels.length).toBeGreaterThan(0);
    for (const one of page.body.labels) seen.push([one.model.version, one.changed]);
    next = page.body.next;
  }
  return seen;
}

describe.each(await databaseKinds())('what changed in a history, on %s', (kind) => {
  it('is the inputs, the model or both, also where a page ends', async () => {
    await using store = await createLastingDatabase(kind);
    await using modelServer = await startStandIn();
    const start = (contract: Contract) =>
      startTestService({ contract, modelServer: modelServer.address, environment: store.environment });
    {
      await using test = await start(ofVersion('7'));
      await label(test, 'C1', toyCustomer('low'));
      await label(test, 'C1', toyCustomer('high'));
      await label(test, 'C1', toyCustomer('high'));
    }
    {
      await using test = await start(ofVersion('8'));
      await label(test, 'C1', toyCustomer('high'));
    }
    await using test = await start(ofVersion('9'));
    await label(test, 'C1', toyCustomer('middle'));
    const expected = [
      ['9', 'both'],
      ['8', 'model'],
      ['7', 'inputs'],
      ['7', null],
    ];
    for (const limit of [1, 2, 3, 4, 500]) expect(await history(test, 'C1', limit)).toEqual(expected);
  });

  it('tells inputs by their names, not their places, and another scale as other inputs', async () => {
    await using store = await createLastingDatabase(kind);
    await using modelServer = await startStandIn();
    const environment = store.environment;
    {
      await using test = await startTestService({
        contract: ofVersion('7'),
        modelServer: modelServer.address,
        environment,
      });
      await label(test, 'C2', toyCustomer('high'));
    }
    const turned = ofVersion('8', (contract) => {
      contract.features = contract.features.toReversed();
    });
    modelServer.respond = ({ vectors }, reply) =>
      reply(vectors.map((vector) => turned.goldenRows.find((row) => isRow(turned, row, vector))?.label ?? 'high'));
    await using test = await startTestService({ contract: turned, modelServer: modelServer.address, environment });
    await label(test, 'C2', toyCustomer('high'));
    await label(test, 'C2', { features: [1, -1, 2], scale: 'standardized' });
    expect(await history(test, 'C2', 10)).toEqual([
      ['8', 'inputs'],
      ['8', 'model'],
      ['7', null],
    ]);
  });
});

it('says that the model changed when the same inputs got another label, though no version is known', async () => {
  await using modelServer = await startStandIn();
  const contract = ofVersion('7', ({ model }) => {
    model.version = null;
  });
  await using test = await startTestService({ contract, modelServer: modelServer.address });
  await label(test, 'C3', toyCustomer('high'));
  modelServer.respond = ({ vectors }, reply) =>
    reply(vectors.map((vector) => contract.goldenRows.find((row) => isRow(contract, row, vector))?.label ?? 'middle'));
  await label(test, 'C3', toyCustomer('high'));
  expect(await history(test, 'C3', 10)).toEqual([
    [null, 'model'],
    [null, null],
  ]);
});

function isRow({ features }: Contract, row: Contract['goldenRows'][number], vector: readonly number[]): boolean {
  return features.every(
    ({ name, scaling }, i) => ((row.features[name] as number) - scaling.mean) / scaling.scale === vector[i],
  );
}
