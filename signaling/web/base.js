/** Where this server's paths begin: a proxy in front may give it a part of its host. No slash at the end. */
export const base = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
