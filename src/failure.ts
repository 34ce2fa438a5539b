import { ServiceError } from './errors.ts';
import { OperatorError } from './operator-error.ts';

/** A sentence where the cause is known and the operator can mend it, the whole error where it is not. */
export function describeFailure(error: unknown): string {
  if (!Error.isError(error)) return String(error);
  if (error instanceof OperatorError || error instanceof ServiceError) return error.message;
  const { code, port, address, path } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  if (code === 'EADDRINUSE') return `Port ${port} is taken. Stop what has it, or set PORT (0 takes a free one).`;
  if (code === 'EADDRNOTAVAIL') return `This machine has no address ${address}. Set HOST to one of its own.`;
  if (code === 'EACCES' && path !== undefined) return `No permission for ${path}.`;
  if (code === 'EACCES') return `No permission to listen on port ${port}. Set PORT to one above 1023.`;
  if (code === 'ENOENT' && path !== undefined) return `There is no file ${path}.`;
  return error.stack ?? error.message;
}
