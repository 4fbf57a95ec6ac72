#!/usr/bin/env node
/** `kubectl approve`: the process around lib/cli/approve. */
import process from 'node:process'

import { runApprove } from '../../lib/cli/approve/command.ts'
import { createProcessIo } from '../../lib/cli/io.ts'

process.exitCode = await runApprove(process.argv.slice(2), createProcessIo(process))
