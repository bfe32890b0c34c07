// tus-js-client against a stream-service: node run.mjs <mode> <endpoint> <file>, the grant in $GRANT. A mode that begins with
// `draft-` is spoken in the IETF's draft instead, as far as the client knows it (interop version 6).
// Ends with 0 when the upload went as the mode expects, and says why not otherwise.
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import * as tus from 'tus-js-client'

const [spoken, endpoint, file] = process.argv.slice(2)
const draft = spoken.startsWith('draft-')
const mode = spoken.replace('draft-', '')
const base = {
  ...(draft && { protocol: 'ietf-draft-05' }),
  endpoint,
  headers: { Authorization: `Bearer ${process.env.GRANT}` },
  metadata: { filename: 'Ferien in Köln.mp4', filetype: 'video/mp4' },
  retryDelays: [0, 100, 300],
}

/** Runs an upload to its end; `prepare` may change it before it starts. */
function upload(source, options, prepare = () => {}) {
  return new Promise((resolve, reject) => {
    const running = new tus.Upload(source, { ...base, ...options, onError: reject, onSuccess: () => resolve(running) })
    prepare(running)
    running.start()
  })
}

/** Starts an upload and breaks it off after its first acknowledged piece. */
function broken(source, terminate) {
  return new Promise((resolve, reject) => {
    const running = new tus.Upload(source, {
      ...base,
      chunkSize: 500_000,
      onError: reject,
      onSuccess: () => reject(new Error('it was not broken off')),
      onChunkComplete: () => running.abort(terminate).then(() => resolve(running), reject),
    })
    running.start()
  })
}

const bytes = readFileSync(file)
const size = statSync(file).size
const modes = {
  plain: () => upload(bytes, {}),
  // Connections are cut by what is between: see the test.
  broken: () => upload(bytes, {}),
  chunks: () => upload(bytes, { chunkSize: 700_000 }),
  creation: () => upload(bytes, { chunkSize: 700_000, uploadDataDuringCreation: true }),
  // A stream whose end nobody knows (a file's own stream is taken for a file by the client).
  deferred: () => upload(createReadStream(file).pipe(new PassThrough()), { chunkSize: 700_000, uploadLengthDeferred: true }),
  parallel: () => upload(bytes, { parallelUploads: 3 }),
  async resume() {
    const first = await broken(bytes, false)
    const progress = []
    const second = await upload(
      bytes,
      { uploadUrl: first.url, onChunkComplete: (chunk, accepted) => progress.push(accepted - chunk) },
    )
    if (progress[0] < 500_000) throw new Error(`it began again at ${progress[0]}`)
    return second
  },
  async abort() {
    const ended = await broken(bytes, true)
    const response = await fetch(ended.url, {
      method: 'HEAD',
      headers: { ...base.headers, ...(draft ? { 'Upload-Draft-Interop-Version': '6' } : { 'Tus-Resumable': '1.0.0' }) },
    })
    if (response.status !== 410) throw new Error(`an ended upload answers ${response.status}`)
  },
}

try {
  await modes[mode]()
  console.log(`${spoken}: ${size} bytes`)
} catch (error) {
  console.error(error)
  process.exitCode = 1
}
