import { expect, test } from 'vitest'
import { loadLibrary } from '../../../src/adapters/platformatic/library.ts'

test('says what to install when the package is missing', async () => {
  const missing = Object.assign(new Error("Cannot find package '@platformatic/kafka' imported from /app/main.js\nat resolve"), {
    code: 'ERR_MODULE_NOT_FOUND',
  })

  await expect(loadLibrary(() => Promise.reject(missing))).rejects.toMatchObject({
    name: 'ConfigurationError',
    code: 'KAFKA_DRIVER_MISSING',
    message: expect.stringMatching(/Cannot find package.*Run "npm install @platformatic\/kafka@\^2.12.1".*or choose the driver "kafkajs"/),
    cause: missing,
  })
})

test('has what the driver leans on', async () => {
  const library = await loadLibrary()

  expect(library).toMatchObject({
    ConnectionPool: expect.any(Function),
    Writer: expect.any(Function),
    joinGroupV7: { api: expect.any(Function) },
  })
})
