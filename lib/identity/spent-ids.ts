/**
 * What may be used once: the ids of SAML assertions, of sign-in requests, of logout tokens. All
 * replicas share one list, so that what was used at one of them is used at all.
 */
export interface SpentIds {
  /**
   * True for the first caller of all replicas, false for every later one. Kept until `until` at
   * least.
   *
   * @throws GatewayError ServiceUnavailable: nobody knows, so nothing may be accepted.
   */
  spend(id: string, until: Date): Promise<boolean>
  /** A look: whoever must be the only one has to spend it. */
  isSpent(id: string): Promise<boolean>
}
