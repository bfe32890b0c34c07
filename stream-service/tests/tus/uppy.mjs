// Uppy against a stream-service: node uppy.mjs <mode> <endpoint> <file>, the grant in $GRANT.
// Ends with 0 when the upload went as the mode expects, and says why not otherwise.
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'
import { readFileSync } from 'node:fs'

const [mode, endpoint, file] = process.argv.slice(2)
const content = readFileSync(file)
// As a browser's File, whose size Uppy asks for; the Node form of tus-js-client takes buffers.
content.size = content.length

function uppy(options) {
  const made = new Uppy({ autoProceed: false })
  made.use(Tus, {
    endpoint,
    headers: { Authorization: `Bearer ${process.env.GRANT}` },
    retryDelays: [0, 100, 300, 500],
    ...options,
  })
  made.addFile({ name: 'Ferien in Köln.mp4', type: 'video/mp4', data: content })
  return made
}

/** Runs all there is to the end. */
async function run(made) {
  const { successful, failed } = await made.upload()
  if (successful.length !== 1 || failed.length !== 0) throw failed[0]?.error ?? new Error('nothing was uploaded')
  return successful[0]
}

/** Does something once when the first bytes are acknowledged. */
function afterTheFirstPiece(then) {
  let done = false
  return (chunk, accepted) => {
    if (done) return
    done = true
    then(accepted)
  }
}

const modes = {
  plain: () => run(uppy({})),
  // Connections are cut by what is between: see the test.
  broken: () => run(uppy({})),
  parallel: () => run(uppy({ parallelUploads: 3 })),
  async pause() {
    let paused = 0
    const progress = []
    const made = uppy({
      chunkSize: 500_000,
      onChunkComplete: (chunk, accepted) => {
        progress.push(accepted)
        stop(chunk, accepted)
      },
    })
    const stop = afterTheFirstPiece(() => {
      const [{ id }] = made.getFiles()
      if (made.pauseResume(id)) paused += 1
      setTimeout(() => made.pauseResume(id), 200)
    })
    await run(made)
    if (paused !== 1) throw new Error('it was not paused')
    if (progress.some((accepted, at) => at > 0 && accepted <= progress[at - 1])) throw new Error(`it began again: ${progress}`)
  },
  async remove() {
    const made = uppy({ chunkSize: 500_000, onChunkComplete: afterTheFirstPiece(() => remove()) })
    let url
    const removed = new Promise((resolve) => {
      made.on('file-removed', resolve)
    })
    const remove = () => {
      const [{ id, tus }] = made.getFiles()
      url = tus.uploadUrl
      made.removeFile(id)
    }
    made.upload().catch(() => {})
    await removed
    for (let tries = 0; tries < 100; tries++) {
      const { status } = await fetch(url, {
        method: 'HEAD',
        headers: { Authorization: `Bearer ${process.env.GRANT}`, 'Tus-Resumable': '1.0.0' },
      })
      if (status === 410) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error('an upload whose file was removed is still there')
  },
}

try {
  await modes[mode]()
  console.log(`${mode}: ${content.length} bytes`)
} catch (error) {
  console.error(error)
  process.exitCode = 1
}
