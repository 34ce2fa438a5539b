import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  badPeers,
  certificateOf,
  demanding,
  type Peer,
  startOpensslPeer,
  startTalkingPeer,
  startTlsPeer,
  strangerIn,
} from './support/bad-peers.ts';
import { type Authority, createAuthority, type Identity, isOpensslThere } from './support/certificates.ts';
import { type Gate, startGate } from './support/gate.ts';
import { startProcess, stopProcess, untilPrinted } from './support/real-mlflow.ts';
import { startTestService, type TestService } from './support/test-service.ts';
import { toyContract, toyCustomer } from './support/toy-model.ts';

const timeoutMs = 1_000;
const withOpenssl = isOpensslThere() ? describe : describe.skip;
const customerBytes = /invocations|inputs|predictions/;

withOpenssl('a model server that cannot be trusted', () => {
  let folder: string;
  let authority: Authority;
  let good: Identity;
  let gate: Gate;
  let test: TestService;
  let environment: Record<string, string>;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tls-'));
    authority = createAuthority(join(folder, 'authority'));
    good = authority.issue();
    gate = await startGate();
    writeFileSync(join(folder, 'contract.json'), JSON.stringify(toyContract()));
    environment = {
      MODEL_SERVER_URL: `https://127.0.0.1:${gate.port}`,
      MODEL_SERVER_CA_FILE: authority.certFile,
      MODEL_SERVER_TIMEOUT_MS: String(timeoutMs),
      MODEL_CONTRACT: join(folder, 'contract.json'),
      // The service below has it, so `doctor` beside it need not open it.
      DATA_DIR: join(folder, 'data'),
    };
    test = await startTestService({ environment });
  }, 60_000);
  afterAll(async () => {
    await test?.[Symbol.asyncDispose]();
    await gate?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const label = (id: string, service = test) => service.http.post(`/v1/customers/${id}/label`).send(toyCustomer());
  const run = (words: string[], more: Record<string, string> = {}) => {
    const { promise, resolve } = Promise.withResolvers<{ code: number; printed: string }>();
    const env = { ...process.env, PORT: '0', ...environment, ...more };
    execFile(process.execPath, words, { env, timeout: 15_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), printed: stdout + stderr }),
    );
    return promise;
  };
  const doctor = (more?: Record<string, string>) => run(['src/cli/main.ts', 'doctor'], more);

  async function expectRefused(peer: Peer, id: string) {
    gate.drop();
    gate.forget();
    gate.target = peer.port;
    const startedAt = Date.now();
    const { status, body, headers } = await label(id);
    expect({ status, code: body.code }).toEqual({ status: 503, code: 'model_untrusted' });
    expect(headers['retry-after']).toBe('1');
    expect(Date.now() - startedAt).toBeLessThan(timeoutMs + 250);
    await test.http.get(`/v1/customers/${id}/label`).expect(404);
  }

  function expectNothingSent(peer: Peer, isTls: boolean) {
    expect(gate.connections).toBeGreaterThan(0);
    if (isTls) expect(peer.received()).toBe('');
    expect(peer.received()).not.toMatch(customerBytes);
    expect(gate.sent()).not.toMatch(customerBytes);
  }

  it('can be told from a good one: that gets the request, and doctor is content', async () => {
    await using peer = await startTlsPeer({ cert: good.cert, key: good.key });
    gate.target = peer.port;
    await label('good').expect(200);
    expect(peer.received()).toMatch(customerBytes);
    expect(gate.sent()).not.toMatch(customerBytes);
    const { code, printed } = await doctor();
    expect(printed).toMatch(/^(ok|note) +model server +.*golden rows right/m);
    expect(code).toBe(0);
  });

  const other = () => strangerIn(folder);

  it.each(badPeers)('%s: nothing is sent or stored, and doctor says why', async (name, { start, isTls }, told) => {
    await using peer = await start({ authority, good, folder });
    await expectRefused(peer, encodeURIComponent(name));
    const { code, printed } = await doctor();
    expect(printed).toMatch(/^broken +model server .*\n +→ .+/m);
    expect(printed.slice(printed.indexOf('model server'))).toMatch(told);
    expect(printed).not.toMatch(/\n +at /);
    expect(code).toBe(1);
    expectNothingSent(peer, isTls);
  });

  it('that was a good one until the connection was made anew', async () => {
    await using first = await startTlsPeer(certificateOf(good));
    await using second = await startTlsPeer(
      certificateOf(authority.issue({ from: '20200101000000Z', until: '20210101000000Z' })),
    );
    gate.drop();
    gate.target = first.port;
    await label('before-the-swap').expect(200);
    await expectRefused(second, 'swapped');
    expectNothingSent(second, true);
    gate.target = first.port;
    await label('swapped').expect(200);
    await test.http.get('/v1/customers/before-the-swap/label').expect(200);
  });

  it('gets the client certificate that it demands, and no wrong one is enough', async () => {
    const start = ({ certFile, keyFile }: Identity) =>
      startTestService({
        environment: {
          ...environment,
          DATA_DIR: 'memory://',
          MODEL_SERVER_CLIENT_CERT_FILE: certFile,
          MODEL_SERVER_CLIENT_KEY_FILE: keyFile,
        },
      });
    await using strict = await startOpensslPeer(good, authority);
    gate.target = strict.port;
    await using stranger = await start(other().issue({ extensions: ['extendedKeyUsage=clientAuth'] }));
    const { body } = await label('stranger', stranger).expect(503);
    expect(body.code).toBe('model_untrusted');
    expect(strict.received()).toBe('');
    await using peer = await startTlsPeer(demanding(good, authority));
    gate.target = peer.port;
    await using known = await start(authority.issue({ extensions: ['extendedKeyUsage=clientAuth'] }));
    await label('known', known).expect(200);
    expect(peer.received()).toMatch(customerBytes);
  });

  describe('does not even let the service start', () => {
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const settings: [string, (port: number) => Record<string, string>, RegExp][] = [
      [
        'when the CA file holds no certificate',
        () => ({ MODEL_SERVER_CA_FILE: file('ca.txt', 'certificate of our CA') }),
        /MODEL_SERVER_CA_FILE .*certificate/,
      ],
      [
        'when the CA file is a broken certificate',
        () => ({ MODEL_SERVER_CA_FILE: file('cut.pem', authority.cert.slice(0, 200)) }),
        /MODEL_SERVER_CA_FILE .*certificate/,
      ],
      [
        'when the CA file is the key',
        () => ({ MODEL_SERVER_CA_FILE: authority.keyFile }),
        /MODEL_SERVER_CA_FILE .*certificate/,
      ],
      [
        "when the client's key is another's",
        () => ({ MODEL_SERVER_CLIENT_CERT_FILE: good.certFile, MODEL_SERVER_CLIENT_KEY_FILE: authority.keyFile }),
        /MODEL_SERVER_CLIENT_CERT_FILE .*MODEL_SERVER_CLIENT_KEY_FILE/,
      ],
      [
        'when checks are switched off for the whole process',
        () => ({ NODE_TLS_REJECT_UNAUTHORIZED: '0' }),
        /NODE_TLS_REJECT_UNAUTHORIZED=0 .*remove it/,
      ],
      [
        'when its address is http and nobody allowed that',
        (port) => ({ MODEL_SERVER_URL: `http://127.0.0.1:${port}` }),
        /MODEL_SERVER_URL must be https/,
      ],
    ];

    it.each(settings)('%s', async (_name, wrong, told) => {
      await using peer = await startTlsPeer(certificateOf(good));
      await using own = await startGate();
      own.target = peer.port;
      const address = { MODEL_SERVER_URL: `https://127.0.0.1:${own.port}`, DATA_DIR: 'memory://' };
      const more = { ...address, ...wrong(own.port) };
      for (const words of [['src/main.ts'], ['src/cli/main.ts', 'doctor']]) {
        const { code, printed } = await run(words, more);
        expect(printed).toMatch(told);
        expect(printed).not.toMatch(/\n +at /);
        expect(code).toBe(1);
      }
      expect(own.connections).toBe(0);
    });
  });

  it('is no proxy either: what the environment names as one is not asked', async () => {
    await using peer = await startTlsPeer(certificateOf(good));
    await using proxy = await startTalkingPeer('');
    gate.drop();
    gate.target = peer.port;
    const address = `http://127.0.0.1:${proxy.port}`;
    const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()]);
    const proxied = {
      ...Object.fromEntries(names.map((name) => [name, address])),
      NO_PROXY: '',
      no_proxy: '',
      NODE_USE_ENV_PROXY: '1',
    };
    const service = startProcess(process.execPath, ['src/main.ts'], {
      ...environment,
      ...proxied,
      PORT: '0',
      DATA_DIR: 'memory://',
    });
    try {
      const url = /listening on (\S+)/.exec(await untilPrinted(service, /listening on \S+\s[^]*-d /))?.[1] as string;
      const answer = await fetch(`${url}/v1/customers/direct/label`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(toyCustomer()),
      });
      expect(answer.status).toBe(200);
      expect((await doctor(proxied)).code).toBe(0);
      await sleep(50);
      expect(proxy.received()).toBe('');
      expect(peer.received()).toMatch(customerBytes);
    } finally {
      await stopProcess(service);
    }
  });
});
