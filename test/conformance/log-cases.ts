import { test } from 'vitest'

/** Why an adapter of the log does not pass a case. There is no other way to leave one out. */
export const logSkips: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  memory: {
    'reads what other clients compressed with gzip': 'Only our own producers write to it, and they do not compress.',
    'reads what other clients compressed with snappy': 'Only our own producers write to it, and they do not compress.',
    'reads what other clients compressed with lz4': 'Only our own producers write to it, and they do not compress.',
    'reads what other clients compressed with zstd': 'Only our own producers write to it, and they do not compress.',
    'reads headers of other clients, of any name and without a value':
      'Only our own producers write to it, whose headers always have values.',
    'refuses a setting that there is not, and changes none':
      'It keeps every setting, and acts on cleanup.policy, max.message.bytes and retention.ms.',
    'shows nothing of an aborted transaction, and reads on behind it': 'It has no transactions.',
    'keeps a batch whole that inflates without end, and reads its neighbours':
      'Only our own producers write to it, and they do not compress.',
  },
  kafkajs: {},
  platformatic: {},
}

/** `test` of vitest for one adapter: a case that it may skip is skipped with the reason in its name. */
export function casesOf(adapter: string): (title: string, run: () => Promise<void>) => void {
  const reasons = logSkips[adapter] ?? {}
  return (title, run) => {
    const reason = reasons[title]
    // oxlint-disable-next-line vitest/expect-expect, vitest/no-disabled-tests -- the body is the caller's
    test.skipIf(reason !== undefined)(reason === undefined ? title : `${title} [${reason}]`, run)
  }
}
