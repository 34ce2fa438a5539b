import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Contract, goldenRowsPerCall, readContract, readOnnx } from '../src/contract/contract.ts';
import {
  type EmbeddedModelServer,
  startEmbeddedModelServer,
} from '../src/embedded-model-server/embedded-model-server.ts';
import { createModelGuard } from '../src/model-guard/model-guard.ts';
import { createModelServerClient, type ModelServerClient } from '../src/model-server/model-server-client.ts';
import { startStandIn } from './support/stand-in-model-server.ts';
import { silentLogger, startTestService } from './support/test-service.ts';
import { toyContract, toyCustomer, toyLabel } from './support/toy-model.ts';
import { type BodyRows, toBodyRows } from '../src/model-server/scoring-protocol.ts';

type Scaling = Contract['features'][number]['scaling'];

const contractFile = 'config/rfc_tune/contract.json';
const right = readContract(contractFile);

let server: EmbeddedModelServer;
let client: ModelServerClient;
beforeAll(async () => {
  server = await startEmbeddedModelServer({
    onnx: readOnnx(right, contractFile),
    featureNames: right.features.map((feature) => feature.name),
  });
  client = createModelServerClient({ address: server.address, timeoutMs: 5_000 });
});
afterAll(async () => {
  client.close();
  await server.close();
});

/** What the golden rows of every call say of this contract, against the forest that `right` was made for. */
async function verdict(contract: Contract, through: Pick<ModelServerClient, 'invoke'> = client) {
  const guard = createModelGuard({ contracts: () => [contract], client: through, logger: silentLogger });
  await guard.score(() => toBodyRows([])).catch(() => {});
  return guard.state().status;
}

function changed(change: (contract: Contract) => void): Contract {
  const contract = structuredClone(right);
  change(contract);
  return contract;
}

it('proves the right model by the rows that travel with each call', async () => {
  expect(await verdict(right)).toBe('proved');
});

describe('notices', () => {
  const pairs = right.features.flatMap((_f, i) => right.features.slice(i + 1).map((_g, k) => [i, i + 1 + k] as const));

  it('any two features swapped', async () => {
    const missed: string[] = [];
    for (const [i, j] of pairs) {
      const swapped = changed(({ features }) => {
        [features[i], features[j]] = [features[j] as never, features[i] as never];
      });
      if ((await verdict(swapped)) !== 'untrusted') missed.push(`${features(i)} and ${features(j)}`);
    }
    expect(missed).toEqual([]);
  });

  /** Two scalers that move no value by a twentieth of a standard deviation: no label can tell them apart. */
  const areAlike = ([i, j]: readonly [number, number]) => {
    const [a, b] = [right.features[i]?.scaling, right.features[j]?.scaling] as [Scaling, Scaling];
    return Math.abs(a.mean - b.mean) / a.scale < 0.05 && Math.abs(a.scale / b.scale - 1) < 0.05;
  };

  it("any two features' scaling exchanged, where it makes a difference", async () => {
    expect(pairs.filter(areAlike).length).toBeLessThanOrEqual(4);
    const missed: string[] = [];
    for (const [i, j] of pairs.filter((pair) => !areAlike(pair))) {
      const swapped = changed(({ features }) => {
        const [a, b] = [features[i] as Contract['features'][number], features[j] as Contract['features'][number]];
        [a.scaling, b.scaling] = [b.scaling, a.scaling];
      });
      if ((await verdict(swapped)) !== 'untrusted') missed.push(`${features(i)} and ${features(j)}`);
    }
    expect(missed).toEqual([]);
  });

  it('a scaler that is missing', async () => {
    const unscaled = changed((contract) => {
      for (const feature of contract.features) feature.scaling = { mean: 0, scale: 1 };
    });
    expect(await verdict(unscaled)).toBe('untrusted');
  });

  it('another model', async () => {
    const opposite = {
      invoke: async (rows: BodyRows) => {
        const { predictions } = (await client.invoke(rows)) as { predictions: number[] };
        return { predictions: predictions.map((label) => 1 - label) };
      },
    };
    expect(await verdict(right, opposite)).toBe('untrusted');
  });

  const features = (i: number) => right.features[i]?.name;
});

it('refuses labels of another model, stores nothing, says so everywhere, and recovers', async () => {
  await using standIn = await startStandIn();
  await using test = await startTestService({ contract: toyContract(), modelServer: standIn.address });
  const label = () => test.http.post('/v1/customers/C1/label').send(toyCustomer());

  standIn.respond = ({ vectors }, reply) => reply(vectors.map((vector) => toyLabel(vector.toReversed())));
  const refused = await label().expect(503);
  expect(refused.body.code).toBe('model_untrusted');
  expect(refused.headers['retry-after']).toBeDefined();
  await test.http.get('/v1/customers/C1/label').expect(404);
  const ready = await test.http.get('/ready').expect(200);
  expect(ready.body.overall).toBe('warn');
  expect(ready.body.checks.modelServer).toMatchObject({
    state: 'untrusted',
    reason: expect.stringMatching(/golden rows/),
  });
  expect(ready.text.replace('"overall":"warn"', '')).not.toMatch(/pass|warn|fail/);
  const model = await test.http.get('/v1/model').expect(200);
  expect(model.body).toMatchObject({ version: null, guard: { state: 'untrusted' } });

  await label().expect(503);
  standIn.respond = ({ vectors }, reply) => reply(vectors.map(toyLabel));
  expect((await label().expect(200)).body.model.version).toBe('7');
  expect((await test.http.get('/ready').expect(200)).body.overall).toBe('pass');
  const changes = test
    .log()
    .split('\n')
    .filter((line) => line.includes('"model guard"'));
  expect(changes).toHaveLength(3);
});

it('names no version when the contract was adopted without one', async () => {
  await using standIn = await startStandIn();
  const contract = toyContract();
  contract.model.version = null;
  await using test = await startTestService({ contract, modelServer: standIn.address });
  const { body } = await test.http.post('/v1/customers/C1/label').send(toyCustomer()).expect(200);
  expect(body.model).toEqual({ name: 'toy', version: null });
});

it('sends no more than the rows of the contract that each call carries', () => {
  expect(goldenRowsPerCall).toBe(8);
  expect(right.goldenRows.length).toBeGreaterThanOrEqual(32);
});
