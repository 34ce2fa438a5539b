import { dirname, join, resolve } from 'node:path';
import { untilPinged } from './model-server-suite.ts';
import { freePort, type Server2, startProcess, stopProcess } from './real-mlflow.ts';

export interface TlsRegistry extends AsyncDisposable {
  url: string;
  stop(): Promise<void>;
  /** Starts it again at the same address. */
  restart(): Promise<void>;
}

/** Another tracking server of MLflow 2.1.0 on the store of server 2, which serves its own in clear text: over TLS. */
export async function startTlsRegistry({ certificateFile, keyFile, address }: Server2): Promise<TlsRegistry> {
  const python = resolve('.venv/bin/python');
  const home = dirname(dirname(certificateFile));
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const store = ['--backend-store-uri', `sqlite:///${join(home, 'mlflow.db')}`];
  const artifacts = ['--serve-artifacts', '--artifacts-destination', `file://${join(home, 'artifacts')}`];
  const tls = ['--gunicorn-opts', `--certfile=${certificateFile} --keyfile=${keyFile}`];
  const words = ['-m', 'mlflow', 'server', '--host', '127.0.0.1', '--port', String(port), '--workers', '1'];
  const start = async () => {
    const child = startProcess(python, [...words, ...store, ...artifacts, ...tls], {
      PATH: `${dirname(python)}:${process.env['PATH']}`,
    });
    await untilPinged(`${url}/health`, address.ca as string, child);
    return child;
  };
  let child = await start();
  return {
    url,
    stop: () => stopProcess(child),
    async restart() {
      child = await start();
    },
    [Symbol.asyncDispose]: () => stopProcess(child),
  };
}
