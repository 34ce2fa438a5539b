import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Whether a file begins with a certificate in PEM. */
export function holdsCertificate(file: string): boolean {
  return canBeUsed(() => new X509Certificate(readFileSync(file, 'utf8')));
}

/** Whether a file holds the certificate's own key, in PEM and unencrypted. */
export function isPair(certificateFile: string, keyFile: string): boolean {
  return canBeUsed(() => {
    const certificate = new X509Certificate(readFileSync(certificateFile));
    if (!certificate.checkPrivateKey(createPrivateKey(readFileSync(keyFile)))) throw new Error('another key');
  });
}

function canBeUsed(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}
