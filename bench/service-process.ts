import { startProcess, stopProcess, untilPrinted } from '../test/support/real-mlflow.ts';

/** The service as an operator starts it, with API keys and its log at info. */
export async function startService(environment: Record<string, string>) {
  const child = startProcess(process.execPath, ['src/main.ts'], {
    ...environment,
    PORT: '0',
    ACCESS: 'own',
    LOG_LEVEL: 'info',
  });
  const printed = await untilPrinted(child, /Label a customer/);
  child.stderr?.resume();
  return {
    process: child,
    url: /listening on (\S+)/.exec(printed)?.[1] as string,
    key: /shown only now: +(\S+)/.exec(printed)?.[1] as string,
    [Symbol.asyncDispose]: () => stopProcess(child),
  };
}
