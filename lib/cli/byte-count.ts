/** `999`, `1.2Ki`, `3.4Mi`: as quantities of Kubernetes. PURE. */
export function bytesText(bytes: number): string {
  let amount = bytes
  for (const unit of ['', 'Ki', 'Mi', 'Gi']) {
    if (amount < 1024 || unit === 'Gi') {
      return unit === '' ? String(amount) : `${amount.toFixed(1)}${unit}`
    }
    amount /= 1024
  }
  return String(bytes)
}
