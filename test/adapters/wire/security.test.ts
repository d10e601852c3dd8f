import { execFileSync, spawnSync } from 'node:child_process'
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { alterUserScramCredentialsV0, Connection } from '@platformatic/kafka'
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, ResourcePatternTypes } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import { platformaticLog } from '../../../src/adapters/platformatic/platformatic-log.ts'
import type { KafkaLogin } from '../../../src/adapters/wire/kafka-login.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import { freePorts } from '../../../src/faces/stack/ports.ts'
import { RecordingListener } from '../../conformance/log-listener.ts'
import { numbered, record, soon } from '../../conformance/log-subject.ts'
import { KafkaCluster } from '../../kit/kafka-cluster.ts'

const TOPIC = 'guarded'
const PASSWORD = 'correct horse'
const hasOpenssl = spawnSync('openssl', ['version']).status === 0

let cluster: KafkaCluster
let directory: string
/** Addresses by what they ask for. */
let address: { readonly plaintext: string; readonly login: string; readonly tlsAndLogin: string; readonly mutualTls: string }
let ca: string
let client: { readonly cert: string; readonly key: string }

const drivers = [
  ['kafkajs', kafkajsLog],
  ['platformatic', platformaticLog],
] as const
const canRun = (await KafkaCluster.missing()) === undefined && hasOpenssl

describe.skipIf(!canRun)('on a Kafka that asks who one is (skipped without Java 17, Maven and openssl)', () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'trunkline-security-'))
    makeCertificates(directory)
    ca = readFileSync(join(directory, 'ca.pem'), 'utf8')
    client = { cert: readFileSync(join(directory, 'client.pem'), 'utf8'), key: readFileSync(join(directory, 'client.key'), 'utf8') }
    const [login = 0, tlsAndLogin = 0, mutualTls = 0] = await freePorts(3)
    cluster = await KafkaCluster.start({
      nodes: 1,
      settings: ({ port, controllerPort }) => guarded(directory, { port, controllerPort, login, tlsAndLogin, mutualTls }),
    })
    const at = (port: number): string => `127.0.0.1:${port}`
    address = { plaintext: cluster.brokers[0] ?? '', login: at(login), tlsAndLogin: at(tlsAndLogin), mutualTls: at(mutualTls) }
    await prepare()
  }, 120_000)

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  describe.each(drivers)('by the driver %s', (_, open) => {
    function logOf(broker: string, more: { ssl?: boolean | object; sasl?: KafkaLogin } = {}): LogDriver {
      const log = open({ brokers: [broker], clientId: 'guest', ...more })
      onTestFinished(async () => {
        await log.producer.stop(1_000)
        await log.admin.close()
      })
      return log
    }

    /** Appends one record and reads it back in a group of its own. */
    async function roundTrip(log: LogDriver, group: string): Promise<string | undefined> {
      await log.producer.start(soon())
      const outcome = await log.producer.append({ topic: TOPIC, partition: 0 }, numbered(1))
      const listener = new RecordingListener(() => (outcome.status === 'acked' ? outcome.baseOffset : 0n))
      const consumer = log.consumers.consumer(group, [TOPIC])
      await consumer.start(listener, soon())
      await listener.until(() => listener.records.length > 0)
      await consumer.stop(2_000)
      return outcome.status
    }

    test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('writes and reads over TLS with a password (%s)', async (mechanism) => {
      const log = logOf(address.tlsAndLogin, { ssl: { ca }, sasl: { mechanism, username: 'rich', password: PASSWORD } })

      expect(await roundTrip(log, `group-${mechanism}`)).toBe('acked')
    })

    test('writes and reads over TLS with a token', async () => {
      const log = logOf(address.tlsAndLogin, { ssl: { ca }, sasl: { mechanism: 'oauthbearer', token: async () => unsecuredToken('rich') } })

      expect(await roundTrip(log, 'group-token')).toBe('acked')
    })

    test('writes and reads over TLS with a certificate of its own, and is told when it has none', async () => {
      const log = logOf(address.mutualTls, { ssl: { ca, ...client } })
      const without = logOf(address.mutualTls, { ssl: { ca } })

      expect(await roundTrip(log, 'group-tls')).toBe('acked')
      await expect(without.admin.brokers()).rejects.toMatchObject({
        code: 'KAFKA_PROTOCOL',
        message: expect.stringContaining('kafka.ssl.cert'),
      })
    })

    test.each(['plain', 'scram-sha-256'] as const)(
      'a wrong password is told at once, for every port, without the password (%s)',
      async (mechanism) => {
        const log = logOf(address.login, { sasl: { mechanism, username: 'rich', password: 'wrong horse' } })

        const started = log.producer.start(soon())
        const asked = log.admin.brokers()
        const joined = log.consumers.consumer('group', [TOPIC]).start(new RecordingListener(), soon())

        for (const refused of await Promise.allSettled([started, asked, joined])) {
          expect(refused).toMatchObject({ status: 'rejected', reason: { name: 'ConfigurationError', code: 'KAFKA_ACCESS' } })
          expect(JSON.stringify(refused) + String(refused.status === 'rejected' && refused.reason)).not.toContain('wrong horse')
        }
      },
    )

    test('says which side speaks TLS and which does not', async () => {
      const toPlaintext = logOf(address.plaintext, { ssl: { ca } })
      const toTls = logOf(address.mutualTls)

      await expect(toPlaintext.admin.brokers()).rejects.toMatchObject({
        code: 'KAFKA_PROTOCOL',
        message: expect.stringContaining('Is this port TLS?'),
      })
      await expect(toTls.admin.brokers()).rejects.toMatchObject({
        code: 'KAFKA_PROTOCOL',
        message: expect.stringContaining('Set kafka.ssl'),
      })
    })

    test('does not trust a broker whose certificate nobody vouches for, and names what to set', async () => {
      const log = logOf(address.mutualTls, { ssl: true })

      await expect(log.producer.start(soon())).rejects.toMatchObject({
        code: 'KAFKA_PROTOCOL',
        message: expect.stringContaining('kafka.ssl.ca'),
      })
    })

    test('an address that speaks HTTP is told as such', async () => {
      const server = createServer((_, response) => response.end('hello'))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      onTestFinished(() => void server.close())

      const log = logOf(`127.0.0.1:${(server.address() as AddressInfo).port}`)

      await expect(log.admin.brokers()).rejects.toMatchObject({ code: 'KAFKA_PROTOCOL', message: expect.stringContaining('HTTP') })
    })

    test('who may not write to a topic is refused for the topic, who may not see it waits for it, and who may not join is told', async () => {
      const poor = { sasl: { mechanism: 'plain', username: 'poor', password: PASSWORD } } as const
      const log = logOf(address.login, poor)
      await log.producer.start(soon())

      const mayRead = await log.producer.append({ topic: TOPIC, partition: 0 }, numbered(1))
      const maySeeNothing = await log.producer.append({ topic: 'secret', partition: 0 }, numbered(1))
      const joining = log.consumers.consumer('forbidden', [TOPIC]).start(new RecordingListener(), soon())

      expect(mayRead).toMatchObject({
        status: 'refused',
        scope: 'topic',
        reason: { message: expect.stringContaining('permit this service to write') },
      })
      expect(maySeeNothing).toMatchObject({ status: 'refused', scope: 'topic', reason: { code: 'TOPIC_MISSING' } })
      await expect(joining).rejects.toMatchObject({
        name: 'ConfigurationError',
        code: 'KAFKA_ACCESS',
        message: expect.stringContaining('group'),
      })
    })

    test('who may not read the configuration of a topic hears from the broker what is too large', async () => {
      const log = logOf(address.login, { sasl: { mechanism: 'plain', username: 'poor', password: PASSWORD } })
      await log.producer.start(soon())
      const large = record(null, { value: Buffer.alloc(20_000) })

      const refused = await log.producer.append({ topic: 'narrow', partition: 0 }, [large])
      const taken = await log.producer.append({ topic: 'narrow', partition: 0 }, numbered(1))

      expect(refused).toMatchObject({ status: 'refused', scope: 'record', reason: { details: { errorCode: 10 } } })
      expect(taken.status).toBe('acked')
    })
  })
})

/** Everybody may do everything over the plaintext port, where the test prepares; `rich` and the certificate's owner may too. */
async function prepare(): Promise<void> {
  const log = kafkajsLog({ brokers: [address.plaintext], clientId: 'owner' })
  await log.admin.createTopics([
    { name: TOPIC, partitions: 1, replicationFactor: 1 },
    { name: 'secret', partitions: 1, replicationFactor: 1 },
    { name: 'narrow', partitions: 1, replicationFactor: 1, settings: { 'max.message.bytes': '10000' } },
  ])
  await log.admin.close()
  await addScramUser('rich')
  const admin = new Kafka({ brokers: [address.plaintext], logLevel: 0 }).admin()
  await admin.connect()
  const rights = [
    [TOPIC, AclOperationTypes.READ],
    [TOPIC, AclOperationTypes.DESCRIBE],
    ['narrow', AclOperationTypes.WRITE],
  ] as const
  const acl = rights.map(([resourceName, operation]) => ({
    resourceType: AclResourceTypes.TOPIC,
    resourceName,
    resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:poor',
    host: '*',
    operation,
    permissionType: AclPermissionTypes.ALLOW,
  }))
  await admin.createAcls({ acl })
  await admin.disconnect()
}

/** By the request itself: Kafka's own tool is a JVM for each mechanism. */
async function addScramUser(name: string): Promise<void> {
  const [host = '', port = ''] = address.plaintext.split(':')
  const connection = new Connection('owner')
  await connection.connect(host, Number(port))
  for (const [mechanism, bytes, digest] of [
    [1, 32, 'sha256'],
    [2, 64, 'sha512'],
  ] as const) {
    const salt = randomBytes(16)
    const saltedPassword = pbkdf2Sync(PASSWORD, salt, 4_096, bytes, digest)
    await alterUserScramCredentialsV0.api.async(connection, [], [{ name, mechanism, iterations: 4_096, salt, saltedPassword }])
  }
  await connection.close()
}

interface Ports {
  readonly port: number
  readonly controllerPort: number
  readonly login: number
  readonly tlsAndLogin: number
  readonly mutualTls: number
}

function guarded(certificates: string, { port, controllerPort, login, tlsAndLogin, mutualTls }: Ports): string[] {
  const listeners = [
    `PLAINTEXT://127.0.0.1:${port}`,
    `CONTROLLER://127.0.0.1:${controllerPort}`,
    `LOGIN://127.0.0.1:${login}`,
    `TLSLOGIN://127.0.0.1:${tlsAndLogin}`,
    `MUTUAL://127.0.0.1:${mutualTls}`,
  ].join(',')
  const users = `org.apache.kafka.common.security.plain.PlainLoginModule required user_rich="${PASSWORD}" user_poor="${PASSWORD}";`
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const token = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
  const logins = ['login', 'tlslogin'].flatMap((name) => [
    `listener.name.${name}.plain.sasl.jaas.config=${users}`,
    `listener.name.${name}.scram-sha-256.sasl.jaas.config=${scram}`,
    `listener.name.${name}.scram-sha-512.sasl.jaas.config=${scram}`,
    `listener.name.${name}.oauthbearer.sasl.jaas.config=${token}`,
  ])
  return [
    `listeners=${listeners}`,
    `advertised.listeners=${listeners}`,
    'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLSLOGIN:SASL_SSL,MUTUAL:SSL',
    'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
    ...logins,
    'ssl.keystore.type=PEM',
    `ssl.keystore.location=${join(certificates, 'broker-store.pem')}`,
    'ssl.truststore.type=PEM',
    `ssl.truststore.location=${join(certificates, 'ca.pem')}`,
    'listener.name.mutual.ssl.client.auth=required',
    'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users=User:ANONYMOUS;User:rich;User:CN=trunkline',
  ]
}

/** An authority, and certificates of it for the broker and for the service. */
function makeCertificates(into: string): void {
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: into, stdio: 'pipe' })
  const key = ['-newkey', 'rsa:2048', '-nodes']
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=authority')
  for (const [name, subject] of [
    ['broker', '/CN=broker'],
    ['client', '/CN=trunkline'],
  ] as const) {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject)
    writeFileSync(join(into, 'names'), 'subjectAltName=IP:127.0.0.1')
    const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names']
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signing)
  }
  const parts = ['broker.key', 'broker.pem', 'ca.pem'].map((file) => readFileSync(join(into, file), 'utf8'))
  writeFileSync(join(into, 'broker-store.pem'), parts.join(''))
}

/** A token that Kafka takes for development: nobody has signed it. */
function unsecuredToken(subject: string): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const now = Math.floor(Date.now() / 1_000)
  return `${encode({ alg: 'none' })}.${encode({ sub: subject, iat: now, exp: now + 600 })}.`
}
