import type { Socket } from 'node:net';

const statusLines: Partial<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};
const lingerMs = 500;

/**
 * Answers what is no HTTP request, or too slow or too long a one, and ends its connection.
 *
 * Node's own way is to write the answer and destroy the connection; where the caller is still sending, TCP then resets
 * it and the answer is lost. What still comes is therefore read away for a moment.
 */
export function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  // Bytes after the fault are a fault each
  if (socket.writableEnded) return;
  if (!socket.writable || error.code === 'ECONNRESET' || hasBegunToAnswer(socket)) {
    socket.destroy();
    return;
  }
  const status = statusLines[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  const linger = setTimeout(() => socket.destroy(), error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 0 : lingerMs);
  socket.once('close', () => clearTimeout(linger));
}

function hasBegunToAnswer(socket: Socket): boolean {
  const response = Reflect.get(socket, '_httpMessage') as { headersSent: boolean } | null | undefined;
  return response?.headersSent === true;
}
