/** ICE servers in Link header fields (RFC 9725, 4.6): what an RTCPeerConnection is configured with. */

const LINK = /<([^>]*)>((?:\s*;\s*[\w-]+="(?:[^"\\]|\\.)*")*)/g;
const PARAMETER = /([\w-]+)="((?:[^"\\]|\\.)*)"/g;

export function iceServersOf(header) {
  const links = [...(header ?? "").matchAll(LINK)].map(([, urls, rest]) => {
    const parameters = [...rest.matchAll(PARAMETER)].map(([, name, value]) => [name, value.replace(/\\(.)/g, "$1")]);
    return { urls, ...Object.fromEntries(parameters) };
  });
  return links.filter(({ rel }) => rel === "ice-server").map(({ urls, username, credential }) =>
    username === undefined ? { urls } : { urls, username, credential },
  );
}
