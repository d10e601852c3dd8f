/** How to log in to Kafka. */
export type KafkaLogin =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
      readonly username: string
      readonly password: string
    }
  | {
      readonly mechanism: 'oauthbearer'
      /** Gives a token that is valid now; asked for each connection, and again before a session ends. */
      readonly token: () => Promise<string>
    }
