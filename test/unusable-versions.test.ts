import { describe, expect, it } from '@jest/globals';
import { readiness } from './support/registry-check.ts';
import { registered, registryOf } from './support/stand-in-artifacts.ts';
import { dripping, endless, text } from './support/stand-in-registry.ts';
import {
  five,
  four,
  inMemory,
  known,
  label,
  linesOf,
  three,
  unusable,
  untilKnown,
  useToyRegistry,
} from './support/toy-registry.ts';
import { until } from './support/until.ts';

const toys = useToyRegistry();

describe('a version that is no good is not known, is told of in words, and costs nothing', () => {
  const edited = (edit: (contract: Record<string, object>) => object) => () => toys.editContract('5', edit);
  const onnx = (file: string) => edited((contract) => ({ ...contract, onnx: { ...contract['onnx'], file } }));
  const model = (changes: object) =>
    edited((contract) => ({ ...contract, model: { ...contract['model'], ...changes } }));
  it.each<[string, () => void, RegExp]>([
    ['no contract', () => toys.change('5', { artifacts: {} }), /no artifact contract\/contract.json.*500/],
    ['no run', () => toys.change('5', { runId: '' }), /without a run/],
    ['a page of HTML', () => toys.artifact('5', text('<html>SECRET</html>')), /no JSON/],
    ['another JSON', () => toys.artifact('5', text('{"SECRET": 1}')), /not one that this service understands/],
    ['another model', model({ name: 'SECRET' }), /another model/],
    ['another version', model({ version: '4' }), /another version/],
    ['another run', model({ runId: 'SECRET' }), /another run/],
    ['another ONNX copy', () => toys.artifact('5', text('SECRET'), 'model.onnx'), /SHA-256/],
    ['no ONNX copy', () => toys.artifact('5', text('SECRET', 404), 'model.onnx'), /model.onnx.*404/],
    ['a file to climb with', onnx('../../../SECRET.onnx'), /no file beside it/],
    ['a file to climb with, on Windows', onnx('..\\SECRET.onnx'), /no file beside it/],
    ['a file of the whole disk', onnx('/tmp/SECRET.onnx'), /no file beside it/],
    ['a file of ours', onnx('kept.json'), /no file beside it/],
    ['a gigabyte', () => toys.artifact('5', text('{', 200, { 'Content-Length': '1000000000' })), /too much/],
    ['no end', () => toys.artifact('5', endless), /too much/],
    ['a redirect', () => toys.artifact('5', text('', 302, { Location: 'http://127.0.0.1/SECRET' })), /302/],
  ])('when it has %s', async (_what, spoil, reason) => {
    await using test = await toys.start(inMemory);
    await label(test, 'A');
    toys.versions = [
      registered(five, { stage: 'Production' }),
      registered(four, { stage: 'Archived' }),
      registered(three, { stage: 'Archived' }),
    ];
    spoil();
    await until(async () => (await unusable(test)).length > 0);
    expect(await unusable(test)).toEqual([{ version: '5', reason: expect.stringMatching(reason) }]);
    expect(await known(test)).toEqual(['4', '3']);
    const ready = await test.http.get('/ready').expect(200);
    expect(ready.body.overall).toBe('warn');
    expect(ready.text.replace('"overall":"warn"', '')).not.toMatch(/pass|warn|fail|secret/i);
    expect(await label(test, 'A')).toMatchObject({ model: { version: '4' } });
    expect(test.log()).not.toContain('SECRET');

    toys.versions = [registered(five, { stage: 'Production' }), registered(four, { stage: 'Archived' })];
    toys.registry.respond = registryOf(() => toys.versions);
    await untilKnown(test, '5', '4');
    expect((await unusable(test)).length).toBe(0);
    expect(linesOf(test).map(({ level }) => level)).toEqual([30, 40, 30]);
  });

  it('when its contract comes byte by byte: the promotion is seen meanwhile', async () => {
    await using test = await toys.start(inMemory);
    toys.artifact('5', dripping);
    toys.versions = [registered(five, { stage: 'Production' }), registered(four, { stage: 'Archived' })];
    await until(async () => (await readiness(test)).checks.registry.version === '5');
    expect(await label(test, 'A')).toMatchObject({ model: { version: '4' } });
    await until(async () => (await unusable(test)).length > 0);
    expect(await unusable(test)).toEqual([{ version: '5', reason: expect.stringMatching(/within 10000 ms/) }]);
    expect(await known(test)).toContain('4');
  }, 60_000);

  it('is asked for at longer and longer intervals', async () => {
    await using test = await toys.start(inMemory);
    toys.versions = [
      { ...registered(five, { stage: 'Production' }), artifacts: {} },
      registered(four, { stage: 'Archived' }),
    ];
    await until(async () => (await unusable(test)).length > 0);
    toys.registry.asked = [];
    const looks = () => toys.registry.asked.filter((asked) => asked.includes('get-latest-versions')).length;
    await until(() => looks() > 40);
    expect(toys.artifactsAsked().length).toBeLessThan(looks() / 4);
    expect(toys.artifactsAsked().length).toBeGreaterThan(0);
  });

  it('when the list of versions cannot be read: the live one is followed all the same', async () => {
    await using test = await toys.start(inMemory);
    const good = registryOf(() => toys.versions);
    toys.registry.respond = (call) => (call.path.endsWith('/search') ? text('SECRET', 500)(call) : good(call));
    toys.versions = [registered(five, { stage: 'Production' }), registered(four, { stage: 'Archived' })];
    await untilKnown(test, '5', '4');
    expect(await unusable(test)).toEqual([{ version: null, reason: 'the registry answered 500' }]);
  });
});

it('starts with another version when the live one is no good, and says which', async () => {
  toys.change('4', { artifacts: {} });
  toys.served = three;
  await using test = await toys.start(inMemory);
  expect(await known(test)).toEqual(['3']);
  expect(await label(test, 'A')).toMatchObject({ model: { version: '3' } });
  expect((await readiness(test)).overall).toBe('warn');
});
