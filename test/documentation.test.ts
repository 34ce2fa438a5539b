import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import packageJson from '../package.json' with { type: 'json' };
import { routePolicies } from '../src/access/route-policies.ts';
import { errorTable, inputFaultTexts } from '../src/errors.ts';
import { settingSchemas } from '../src/settings.ts';

const readmes = ['README.md', 'README.es.md'];
const decisions = readdirSync('docs/decisions').map((file) => `docs/decisions/${file}`);
const operating = ['docs/operating.md', 'docs/operating.es.md', 'docs/scaling.md', 'docs/scaling.es.md'];
const documents = [...readmes, ...operating, 'CHANGELOG.md', 'CONTRIBUTING.md', ...decisions];

const textOf = (file: string) => readFileSync(file, 'utf8');
const shellBlocks = (text: string) => [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, script]) => script);
const withoutBlocks = (text: string) => text.replaceAll(/^```.*?^```$/gms, '');

/** The table rows whose first cell is code of this form, as cells without backticks. */
function rowsOf(file: string, firstCell: RegExp): string[][] {
  return textOf(file)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
    .filter(([first]) => firstCell.test(first ?? ''));
}

const sorted = (list: readonly string[]) => [...list].sort();

function shownDefault(value: string | number | boolean | string[] | undefined): string {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return '–';
  return String(value).replace(`${process.cwd()}/`, '');
}

describe.each(readmes)('%s', (file) => {
  it('has every setting with its default', () => {
    const shown = rowsOf(file, /^[A-Z][A-Z0-9_]+$/).map(([name, value]) => `${name} ${value}`);
    const known = Object.entries(settingSchemas).map(([name, one]) => `${name} ${shownDefault(one.parse(undefined))}`);
    expect(sorted(shown)).toEqual(sorted(known));
  });

  it('has every error code with its status', () => {
    const shown = rowsOf(file, /^[a-z_\d]+$/).filter(([, status]) => /^\d{3}$/.test(status ?? ''));
    const known = Object.entries(errorTable).map(([code, { status }]) => `${code} ${status}`);
    expect(sorted(shown.map(([code, status]) => `${code} ${status}`))).toEqual(sorted(known));
    expect(shown.map((row) => row.length)).toEqual(shown.map(() => 4));
  });

  it('has every code of an input fault', () => {
    const shown = rowsOf(file, /^[a-z_\d]+$/).filter(([, status]) => !/^\d{3}$/.test(status ?? ''));
    const codes = shown.map(([code]) => code as string);
    expect(sorted(codes)).toEqual(sorted(Object.keys(inputFaultTexts)));
  });

  it('has every route with its role', () => {
    const shown = rowsOf(file, /^[A-Z]+ \//).map(
      ([route, role]) => `${route?.replaceAll(/\{(\w+)\}/g, ':$1')} ${role}`,
    );
    const known = Object.entries(routePolicies).map(([route, role]) => `${route} ${role}`);
    expect(sorted(shown)).toEqual(sorted(known));
  });

  it('links the other language within its first lines', () => {
    const [other] = readmes.filter((one) => one !== file);
    expect(textOf(file).split('\n').slice(0, 3).join('\n')).toContain(`](${other})`);
  });
});

it('runs the same commands in both languages', () => {
  const [english, spanish] = readmes.map((file) => shellBlocks(textOf(file)));
  expect(english?.length).toBeGreaterThan(0);
  expect(spanish).toEqual(english);
});

it.each(documents)('%s names only npm scripts that exist', (file) => {
  const named = [...textOf(file).matchAll(/\bnpm (?:run (?:-s )?([\w:-]+)|(start|test)\b)/g)].map(
    ([, run, short]) => run ?? short,
  );
  expect(Object.keys(packageJson.scripts)).toEqual(expect.arrayContaining(named));
});

it.each(documents)('%s has no relative link that leads nowhere', (file) => {
  const targets = [...withoutBlocks(textOf(file)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string);
  const relative = targets.filter((target) => !/^(https?:|mailto:|#)/.test(target));
  expect(relative.filter((target) => !existsSync(join(dirname(file), target.replace(/#.*/, ''))))).toEqual([]);
});
