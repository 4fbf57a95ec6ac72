/** What Go's writer (github.com/moby/spdystream) sends: three streams, then one answer, one compressor. */
import { bytes } from './naive-codec.ts'

export const GO_FRAMES: readonly {
  name: string
  frame: Uint8Array
  headers: [string, string][]
}[] = [
  {
    name: 'SYN_STREAM 1 error',
    frame: bytes(`80030001 00000029 00000001 00000000 0000
        78f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff`),
    headers: [['streamtype', 'error']],
  },
  {
    name: 'SYN_STREAM 3 stdin',
    frame: bytes('80030001 00000017 00000003 00000000 0000 c22e555c92929907000000ffff'),
    headers: [['streamtype', 'stdin']],
  },
  {
    name: 'SYN_STREAM 5 stdout',
    frame: bytes('80030001 00000019 00000005 00000000 0000 c22ac5565c92925f5a02000000ffff'),
    headers: [['streamtype', 'stdout']],
  },
  {
    name: 'SYN_REPLY 1',
    frame: bytes('80030002 0000000e 00000001 6260606000000000ffff'),
    headers: [],
  },
]

export const GO_BYTES: Uint8Array = Buffer.concat(GO_FRAMES.map(({ frame }) => frame))
