/** What a person reads when the sandbox is up: the things to type, in the order to try them. */
import { shellQuote } from './kubeconfigs.ts'
import type { SandboxJson } from './sandbox-json.ts'

export function tellStory(json: SandboxJson, folder: { bin: string; root: string }): string {
  const path = `export PATH=${shellQuote(folder.bin)}:$PATH`
  const as = (person: keyof SandboxJson['users']): string =>
    `export KUBECONFIG=${shellQuote(json.users[person].kubeconfig)}`
  return `
The sandbox is up. ana is a developer, bo and cy are on call, dpo looks after privacy.

1. A terminal as ana. The first shell is free, with personal data masked; the second has to be
   approved, and waits; the third is allowed by no policy.
     ${path}
     ${as('ana')}
     kubectl exec tools-0 -- cat /data/customers.csv
     kubectl exec -it web-0 -- sh
     kubectl exec ledger-0 -- id

2. Meanwhile a second terminal, as bo: list what waits, then approve it.
     ${path}
     ${as('bo')}
     kubectl approve
     kubectl approve NAME --reason "INC-1234"

3. Afterwards, as ana for her own sessions or as dpo for everybody's: what was shown.
     ${path}
     ${as('dpo')}
     kubectl podgate sessions
     kubectl podgate replay ID

The way round the gateway is closed, even for the cluster's admin:
     ${shellQuote(json.kubectl)} --kubeconfig ${shellQuote(json.admin.kubeconfig)} -n shop exec web-0 -- id

Paths and addresses for scripts: ${folder.root}/sandbox.json
End with Ctrl-C here, or with npm run stop.
`
}
