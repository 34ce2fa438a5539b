import { SingleBar } from 'cli-progress';
import type { Locale } from '../../locale.ts';
import { textsIn } from './label-texts.ts';
import type { BatchView } from './list-service.ts';

/** Tells whoever started the command how far it is. Nothing of it goes to standard output. */
export interface ProgressDisplay {
  /** Of the upload; the total is null where nobody knows it. */
  sending(bytes: number, totalBytes: number | null): void;
  labelling(batch: BatchView): void;
  /** A line that stays. */
  say(line: string): void;
  /** Takes away what moves. */
  end(): void;
}

interface DisplayOptions {
  stream: NodeJS.WriteStream;
  locale: Locale;
  lineEveryMs?: number;
}

/** A bar on a terminal, elsewhere a line every few seconds and at each change of state. */
export function createProgressDisplay(options: DisplayOptions): ProgressDisplay {
  return options.stream.isTTY ? createBar(options) : createLines(options);
}

function createBar({ stream, locale }: DisplayOptions): ProgressDisplay {
  const describe = createDescriptions(locale);
  let bar: SingleBar | undefined;

  function show(part: number, text: string) {
    if (!bar) {
      const format = '{bar} {percentage} % {text}';
      const look = { barCompleteChar: '█', barIncompleteChar: '░', barsize: 24 };
      // Signals are the command's own
      bar = new SingleBar({ format, ...look, stream, clearOnComplete: true, hideCursor: true, gracefulExit: false });
      bar.start(1, 0, { text });
    }
    bar.update(part, { text });
  }

  function end() {
    bar?.stop();
    bar = undefined;
  }

  return {
    sending: (bytes, total) => show(total ? Math.min(bytes / total, 1) : 0, describe.sending(bytes, total)),
    labelling: (batch) => show(shareOf(batch), describe.labelling(batch)),
    say(line) {
      end();
      stream.write(`${line}\n`);
    },
    end,
  };
}

function createLines({ stream, locale, lineEveryMs = 5_000 }: DisplayOptions): ProgressDisplay {
  const describe = createDescriptions(locale);
  let told = '';
  let dueAt = performance.now() + lineEveryMs;

  function tell(kind: string, text: () => string) {
    if (kind === told && performance.now() < dueAt) return;
    told = kind;
    dueAt = performance.now() + lineEveryMs;
    stream.write(`${text()}\n`);
  }

  return {
    sending: (bytes, total) => tell('', () => describe.sending(bytes, total)),
    labelling(batch) {
      const percentage = Math.floor(shareOf(batch) * 100);
      tell(`${batch.state} ${batch.reason}`, () => `${percentage} % ${describe.labelling(batch)}`);
    },
    say: (line) => void stream.write(`${line}\n`),
    end() {},
  };
}

function shareOf({ rows }: BatchView): number {
  return rows.total === 0 ? 1 : (rows.labelled + rows.rejected) / rows.total;
}

function createDescriptions(locale: Locale) {
  const texts = textsIn(locale);
  const number = new Intl.NumberFormat(locale, { useGrouping: 'always' });
  const megabytes = (bytes: number) => `${(bytes / 1_000_000).toFixed(1)} MB`;
  return {
    sending: (bytes: number, total: number | null) =>
      `${texts.sending}, ${megabytes(bytes)}${total === null ? '' : ` / ${megabytes(total)}`}`,
    labelling({ state, reason, rows, ratePerSecond, etaSeconds }: BatchView) {
      const why = reason === null ? '' : `: ${texts.reasons[reason] ?? reason}`;
      return [
        `${texts.states[state]}${why}`,
        texts.rows(number.format(rows.labelled + rows.rejected), number.format(rows.total)),
        ...(state === 'running' && ratePerSecond !== null
          ? [texts.rate(number.format(Math.round(ratePerSecond)))]
          : []),
        ...(state === 'running' && etaSeconds !== null ? [texts.left(duration(etaSeconds))] : []),
      ].join(', ');
    },
  };
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
