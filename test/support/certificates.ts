import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether certificates can be made here; said when not, and under REAL_PEERS=required an error. */
export function isOpensslThere(): boolean {
  try {
    openssl('.', ['version']);
    return true;
  } catch (cause) {
    const message = 'Without bad peers: no openssl on the PATH (apt-get install openssl, brew install openssl).';
    if (process.env['REAL_PEERS'] === 'required') throw new Error(message, { cause });
    process.stderr.write(`${message}\n`);
    return false;
  }
}

/** A certificate with its key, as PEM text and as files. */
export interface Identity {
  cert: string;
  key: string;
  certFile: string;
  keyFile: string;
}

export interface Authority extends Identity {
  /** Signs a certificate; with nothing said a good one for 127.0.0.1. */
  issue(options?: IssueOptions): Authority;
}

interface IssueOptions {
  subject?: string;
  /** Lines of an openssl extension file. */
  extensions?: string[];
  /** YYYYMMDDHHMMSSZ */
  from?: string;
  until?: string;
  key?: 'P-256' | 'RSA-2048' | 'RSA-1024';
  digest?: 'sha256' | 'sha1';
}

const forThisHost = ['subjectAltName=IP:127.0.0.1,DNS:localhost'];
const keyWords = {
  'P-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'RSA-2048': ['rsa:2048'],
  'RSA-1024': ['rsa:1024'],
};
const authorityConfig = `
[ca]
default_ca = this
[this]
database = index.txt
new_certs_dir = .
rand_serial = yes
policy = any
unique_subject = no
default_days = 30
[any]
commonName = supplied
`;

/** A self-signed certificate authority that lives in a folder. */
export function createAuthority(folder: string, subject = 'authority'): Authority {
  mkdirSync(folder, { recursive: true });
  const request = ['req', '-x509', '-newkey', ...keyWords['P-256'], '-nodes', '-days', '30', '-subj', `/CN=${subject}`];
  const selfSigned = ['-addext', forThisHost[0] as string, '-keyout', 'own.key', '-out', 'own.pem'];
  openssl(folder, [...request, ...selfSigned]);
  return authorityIn(folder, 'own');
}

function authorityIn(folder: string, name: string): Authority {
  const [certFile, keyFile] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  let issued = 0;
  return {
    certFile,
    keyFile,
    cert: readFileSync(certFile, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
    issue({ subject = 'model server', extensions = forThisHost, from, until, key = 'P-256', digest = 'sha256' } = {}) {
      issued += 1;
      const child = join(folder, `${name}-${issued}`);
      mkdirSync(child);
      writeFileSync(join(child, 'ca.cnf'), authorityConfig);
      writeFileSync(join(child, 'index.txt'), '');
      writeFileSync(join(child, 'extensions'), `${extensions.join('\n')}\n`);
      const request = ['req', '-new', '-newkey', ...keyWords[key], '-nodes', '-subj', `/CN=${subject}`];
      openssl(child, [...request, '-keyout', 'own.key', '-out', 'own.csr']);
      const times = [...(from ? ['-startdate', from] : []), ...(until ? ['-enddate', until] : [])];
      const signer = ['-config', 'ca.cnf', '-cert', certFile, '-keyfile', keyFile, '-md', digest];
      const sign = ['ca', '-batch', '-notext', ...signer, ...times];
      openssl(child, [...sign, '-extfile', 'extensions', '-in', 'own.csr', '-out', 'own.pem']);
      return authorityIn(child, 'own');
    },
  };
}

function openssl(folder: string, words: string[]): void {
  execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
}
