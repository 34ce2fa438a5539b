import { OperatorError } from '../../operator-error.ts';

/** What `label` ends with. */
export const exitStatus = { allLabelled: 0, failed: 1, wrongUse: 2, someRejected: 3, dependencyDown: 4 } as const;
export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

export class WrongUseError extends OperatorError {
  override name = 'WrongUseError';
}

/** Something that the command needs does not answer. */
export class DependencyDownError extends OperatorError {
  override name = 'DependencyDownError';
}

/** The service understood the request and refused it. */
export class RefusedError extends OperatorError {
  override name = 'RefusedError';
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/** The person at the terminal, or a signal, ended the command. */
export class InterruptedError extends OperatorError {
  override name = 'InterruptedError';
}

export function statusOf(error: unknown): ExitStatus {
  if (error instanceof WrongUseError) return exitStatus.wrongUse;
  return error instanceof DependencyDownError ? exitStatus.dependencyDown : exitStatus.failed;
}
