import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TlsOptions } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Authority, createAuthority, type Identity } from './certificates.ts';
import { freePort, startProcess, stopProcess } from './real-mlflow.ts';
import { toyLabel } from './toy-model.ts';

/** A peer at the place of the model server; if it is trusted it answers as the toy model. */
export interface Peer extends AsyncDisposable {
  port: number;
  /** What reached it of any request: decrypted, or as it is on a port without TLS. */
  received(): string;
}

export async function startTlsPeer(options: TlsOptions): Promise<Peer> {
  const server = createHttpsServer(options, answerAsToyModel);
  // A handshake that fails is what most of these tests want.
  server.on('tlsClientError', () => {});
  return listen(server, 'secureConnection');
}

export async function startPlainHttpPeer(): Promise<Peer> {
  const server = createHttpServer(answerAsToyModel);
  server.on('clientError', (_error, socket) => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'));
  return listen(server, 'connection');
}

/** Says something of its own as soon as somebody connects, or waits in silence. */
export async function startTalkingPeer(greeting: string): Promise<Peer> {
  return listen(
    createServer((socket) => void socket.write(greeting)),
    'connection',
  );
}

/** openssl's own server, which says by a TLS alert that it does not accept a client certificate. */
export async function startOpensslPeer(identity: Identity, clientAuthority: Identity): Promise<Peer> {
  const port = await freePort();
  const trust = ['-Verify', '2', '-verify_return_error', '-CAfile', clientAuthority.certFile];
  const words = ['s_server', '-accept', `127.0.0.1:${port}`, '-cert', identity.certFile, '-key', identity.keyFile];
  const server = startProcess('openssl', [...words, ...trust, '-quiet', '-www']);
  let printed = '';
  server.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  while (!(await accepts(port))) await sleep(20);
  return { port, received: () => printed, [Symbol.asyncDispose]: () => stopProcess(server) };
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return once(socket, 'connect')
    .then(
      () => true,
      () => false,
    )
    .finally(() => socket.destroy());
}

async function listen(server: Server, connected: 'connection' | 'secureConnection'): Promise<Peer> {
  const sockets = new Set<Socket>();
  const received: string[] = [];
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  // After the server's own listener: then its parser leaves the bytes to all who want them.
  server.on(connected, (socket: Socket) => {
    socket.on('data', (chunk: Buffer) => received.push(chunk.toString('latin1')));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    received: () => received.join(''),
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

type Handler = Parameters<typeof createHttpServer>[1] & {};

const answerAsToyModel: Handler = (request, response) => {
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => {
    const { inputs } = JSON.parse(body) as { inputs: number[][] };
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ predictions: inputs.map(toyLabel) }));
  });
};

const tls = (make: (material: Material) => Identity, options: TlsOptions = {}): BadPeer => ({
  start: (material) => startTlsPeer({ ...certificateOf(make(material)), ...options }),
  isTls: true,
});
const demandingPeer = (options: TlsOptions = {}): BadPeer => ({
  start: ({ good, authority }) => startTlsPeer({ ...demanding(good, authority), ...options }),
  isTls: true,
});
const old: TlsOptions = { ciphers: 'ALL:@SECLEVEL=0' };
const tls12 = (ciphers: string): TlsOptions => ({ maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` });
const rsa = ({ authority }: Material) => authority.issue({ key: 'RSA-2048' });

/** An authority that nobody here trusts. */
export function strangerIn(folder: string, subject = 'stranger'): Authority {
  return createAuthority(mkdtempSync(join(folder, 'stranger-')), subject);
}

/** The TLS of a server that wants to see a certificate of its client too. */
export function demanding(identity: Identity, clientAuthority: Identity): TlsOptions {
  return { ...certificateOf(identity), requestCert: true, rejectUnauthorized: true, ca: clientAuthority.cert };
}

export function certificateOf({ cert, key }: Identity): TlsOptions {
  return { cert, key };
}

/** What the peers are made from: the trusted authority, a good certificate of it, and a folder for others. */
interface Material {
  authority: Authority;
  good: Identity;
  folder: string;
}

interface BadPeer {
  start(material: Material): Promise<Peer>;
  /** False: it speaks something else, and so receives the bytes of a handshake. */
  isTls: boolean;
}

/** Peers that no customer may be sent to, and what `doctor` has to say of each: fault and cure. */
export const badPeers: [string, BadPeer, RegExp][] = [
  [
    'whose certificate has expired',
    tls(({ authority: one }) => one.issue({ from: '20200101000000Z', until: '20210101000000Z' })),
    /EXPIRED[^]*→.*renew/i,
  ],
  [
    'whose certificate is not valid yet',
    tls(({ authority: one }) => one.issue({ from: '20480101000000Z', until: '20490101000000Z' })),
    /NOT_YET_VALID[^]*→.*clock/i,
  ],
  [
    'whose certificate is self-signed',
    tls(({ folder }) => strangerIn(folder)),
    /SELF_SIGNED[^]*→.*MODEL_SERVER_CA_FILE/,
  ],
  [
    'whose certificate another authority signed',
    tls(({ folder }) => strangerIn(folder).issue()),
    /no trusted connection[^]*→.*MODEL_SERVER_CA_FILE/,
  ],
  [
    'whose certificate an authority of the same name signed',
    tls(({ folder }) => strangerIn(folder, 'authority').issue()),
    /no trusted connection[^]*→.*MODEL_SERVER_CA_FILE/,
  ],
  [
    'whose certificate is for another host',
    tls(({ authority: one }) => one.issue({ extensions: ['subjectAltName=DNS:other.example,IP:10.0.0.1'] })),
    /ALTNAME[^]*→.*name/,
  ],
  [
    'whose certificate has the address only as its common name',
    tls(({ authority: one }) => one.issue({ subject: '127.0.0.1', extensions: ['basicConstraints=CA:FALSE'] })),
    /ALTNAME[^]*→.*name/,
  ],
  [
    'that does not send the intermediate certificate',
    tls(({ authority: one }) =>
      one.issue({ subject: 'intermediate', extensions: ['basicConstraints=critical,CA:TRUE'] }).issue(),
    ),
    /no trusted connection[^]*→.*MODEL_SERVER_CA_FILE/,
  ],
  [
    'whose certificate was signed by one that may not sign',
    tls(({ authority: one }) => {
      const leaf = one.issue({ extensions: ['basicConstraints=CA:FALSE'] });
      const signed = leaf.issue();
      return { ...signed, cert: signed.cert + leaf.cert };
    }),
    /no trusted connection/,
  ],
  [
    'whose certificate is for clients only',
    tls(({ authority: one }) =>
      one.issue({ extensions: ['subjectAltName=IP:127.0.0.1', 'extendedKeyUsage=clientAuth'] }),
    ),
    /no trusted connection/,
  ],
  [
    'whose key has 1,024 bits',
    tls(({ authority: one }) => one.issue({ key: 'RSA-1024' }), old),
    /no trusted connection/,
  ],
  [
    'whose certificate is signed by SHA-1',
    tls(({ authority: one }) => one.issue({ digest: 'sha1' }), old),
    /no trusted connection/,
  ],
  [
    'that speaks TLS 1.1 only',
    tls(({ good }) => good, { ...old, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }),
    /no trusted connection[^]*→.*TLS 1\.2/,
  ],
  [
    'that speaks TLS 1.0 only',
    tls(({ good }) => good, { ...old, minVersion: 'TLSv1', maxVersion: 'TLSv1' }),
    /no trusted connection[^]*→.*TLS 1\.2/,
  ],
  ['that encrypts nothing (null cipher)', tls(rsa, tls12('NULL-SHA256')), /no trusted connection[^]*→.*TLS 1\.2/],
  [
    'that shows no certificate (anonymous cipher)',
    tls(rsa, tls12('ADH-AES256-GCM-SHA384')),
    /no trusted connection[^]*→.*TLS 1\.2/,
  ],
  [
    'whose cipher lets a later thief of its key read everything',
    tls(rsa, tls12('AES128-SHA')),
    /no trusted connection[^]*→.*TLS 1\.2/,
  ],
  ['that speaks plain HTTP', { start: startPlainHttpPeer, isTls: false }, /no trusted connection[^]*→.*TLS/],
  [
    'that is no web server',
    { start: () => startTalkingPeer('SSH-2.0-OpenSSH_9.6\r\n'), isTls: false },
    /no trusted connection[^]*→.*TLS/,
  ],
  ['that demands a client certificate', demandingPeer(), /CERTIFICATE_REQUIRED[^]*→.*MODEL_SERVER_CLIENT_CERT_FILE/],
  [
    'that demands a client certificate by TLS 1.2',
    demandingPeer({ maxVersion: 'TLSv1.2' }),
    /no trusted connection[^]*→.*MODEL_SERVER_CLIENT_CERT_FILE/,
  ],
];
