import { toServiceError } from './errors.ts';
import type { Logger } from './logger.ts';

interface FaultLogOptions {
  logger: Logger;
  /** What is said when a fault begins, and when it is over. */
  begins: string;
  ends: string;
}

/** Says a fault once when it begins and once when it is over, however often it is met meanwhile. */
export function createFaultLog({ logger, begins, ends }: FaultLogOptions) {
  let code: string | undefined;
  return {
    failed(error: unknown) {
      const fault = toServiceError(error);
      if (fault.code === code) return;
      code = fault.code;
      logger.warn({ err: fault }, begins);
    },
    worked() {
      if (code !== undefined) logger.info(ends);
      code = undefined;
    },
  };
}
