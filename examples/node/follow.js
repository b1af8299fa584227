// Follows the orders of the OMS on Kafka: each event once, in order, and no loss in silence.
//
//     node follow.js BOOTSTRAP CURSOR [TOPIC]
//
// Prints one line of JSON for each event. CURSOR is a file of this program's own: how far it has read. Ctrl-C or SIGTERM
// ends it after the event at hand; the next run goes on from there. Needs kafkajs (npm ci).

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import kafkajs from 'kafkajs'

const [bootstrap, path, topic = 'oms.order.events'] = process.argv.slice(2)

// For each partition the next offset, and the last feed position that was handled: the watermark. Both are strings of
// digits, as Kafka has 64-bit numbers.
const cursor = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}
const markOf = (partition) => (cursor[partition] ??= { offset: '0', sequence: '0' })

// All or nothing: a crash leaves the old file or the new one.
function save() {
  writeFileSync(`${path}.new`, JSON.stringify(cursor))
  renameSync(`${path}.new`, path)
}

// Your work goes here. Write its result and the cursor in one transaction, and it happens exactly once; like this, what
// was printed after the last save is printed again after a crash.
function handle(event) {
  console.log(JSON.stringify(event))
}

// Handle one record, unless the watermark says that this happened before. Returns false when records are missing.
function take(partition, message) {
  const header = (name) => message.headers[name].toString()
  const mark = markOf(partition)
  const sequence = BigInt(header('ce_sequence'))
  const previous = BigInt(header('ce_previous'))
  const last = BigInt(mark.sequence)
  if (sequence <= last) {
    console.error(`duplicate: partition ${partition}, position ${sequence}`)
  } else if (previous !== last) {
    console.error(
      `gap: partition ${partition}: position ${sequence} follows ${previous}, but ${last} was the last one here. ` +
        `Fetch what is between from the producer's GET /feed?topic=…&partition=…&after=…`
    )
    return false
  } else {
    handle({
      partition,
      sequence: Number(sequence),
      id: header('ce_id'),
      type: header('ce_type'),
      subject: header('ce_subject'),
      data: JSON.parse(message.value),
    })
    mark.sequence = `${sequence}`
  }
  mark.offset = `${BigInt(message.offset) + 1n}`
  return true
}

const kafka = new kafkajs.Kafka({ brokers: bootstrap.split(','), logLevel: kafkajs.logLevel.ERROR })
// KafkaJS reads as a group only: one of our own, whose offsets nobody commits.
const consumer = kafka.consumer({ groupId: `follow-${randomUUID()}`, maxWaitTimeInMs: 200 })

let status = 0
let stopping = false
async function stop() {
  if (stopping) return
  stopping = true
  await consumer.disconnect() // waits for the batch at hand
  save()
  process.exitCode = status
}
process.on('SIGINT', stop)
process.on('SIGTERM', stop)

await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch, isRunning, isStale }) => {
    for (const message of batch.messages) {
      if (stopping || status || !isRunning() || isStale()) break
      if (BigInt(message.offset) < BigInt(markOf(batch.partition).offset)) continue // before the seek took hold
      if (!take(batch.partition, message)) {
        status = 2
        setImmediate(stop)
      }
    }
    save()
  },
})
for (const [partition, { offset }] of Object.entries(cursor)) {
  consumer.seek({ topic, partition: Number(partition), offset })
}
