import { type Contract, contract } from './contract.ts'

export interface CommandSettledData {
  /** `nothing to compensate`: the action never ran, and will not. `cancelled`: it came after its compensation. */
  readonly outcome: 'nothing to compensate' | 'cancelled'
}

/**
 * The participant guard's own answer to a command that no handler ran for.
 *
 * It goes to the topic and under the key of the command's other replies, so it has neither of its own.
 */
export const CommandSettled: Contract<{
  kind: 'reply'
  name: 'trunkline.CommandSettled'
  input: CommandSettledData
  data: CommandSettledData
  reply: void
}> = contract({
  kind: 'reply',
  name: 'trunkline.CommandSettled',
  version: 1,
  topic: '',
  key: null,
  replies: [],
  versions: [
    {
      version: 1,
      fingerprint: '3c0fae922fa4a662',
      schema: { type: 'record', name: 'trunkline.CommandSettled', fields: [{ name: 'outcome', type: 'string' }] },
    },
  ],
})
