import type { ServiceError } from '../errors.ts';

/** By what is said of the fault; the first that fits. */
const trustCures: [RegExp, string][] = [
  [
    /golden/,
    'It runs another model than the contract is for. Use the contract of its version, or make one: customer-labels contract adopt.',
  ],
  [/EXPIRED/, 'Renew its certificate; if it still holds, set the clock of this host (NTP).'],
  [/NOT_YET_VALID/, 'Set the clocks of both hosts (NTP): its certificate begins later.'],
  [
    /ALTNAME|HOSTNAME/,
    'Call it by a name of its certificate in MODEL_SERVER_URL, or have one made with this very name or address (subjectAltName).',
  ],
  [
    /CERTIFICATE_REQUIRED|_ALERT_/,
    'It demands a client certificate that it trusts: set MODEL_SERVER_CLIENT_CERT_FILE and MODEL_SERVER_CLIENT_KEY_FILE.',
  ],
  [
    /EPROTO|ERR_SSL/,
    'Nothing there speaks TLS 1.2 or newer with a forward-secret cipher. Check the port and the TLS of the model server; if it demands a client certificate, set MODEL_SERVER_CLIENT_CERT_FILE and MODEL_SERVER_CLIENT_KEY_FILE.',
  ],
  [
    /UNSPECIFIED|INVALID_/,
    'Have its certificate made anew: for a server, with a key of 2,048 bits or P-256, signed by an authority with SHA-256.',
  ],
  [/(?:)/, 'Set MODEL_SERVER_CA_FILE to the authority that signed its certificate, made for this very host name.'],
];

/** What the operator can do about a fault of the model server. */
export function cureOf({ code, message }: ServiceError): string {
  if (code === 'model_untrusted') return (trustCures.find(([fault]) => fault.test(message)) as [RegExp, string])[1];
  if (code === 'model_bad_answer')
    return 'Something answers there that is not MLflow with this model. Check MODEL_SERVER_URL (port 8124, not the tracking server).';
  if (code === 'deadline') return 'It does not answer in time. Check its load, or raise MODEL_SERVER_TIMEOUT_MS.';
  return 'Check MODEL_SERVER_URL, that mlflow models serve runs with -h 0.0.0.0, and that the firewall lets this host in.';
}
