// A mail server for one test, and the mails that it was sent.
import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';

/** The server; `url` is what the service sends to. */
export async function mailbox() {
  const mails = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, session, done) {
      const chunks = [];
      stream.on('data', (chunk) => chunks.push(chunk));
      stream.on('end', async () => {
        const mail = await PostalMime.parse(Buffer.concat(chunks));
        mails.push(...session.envelope.rcptTo.map(({ address }) => ({ ...mail, address })));
        done();
      });
    },
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `smtp://127.0.0.1:${server.server.address().port}`,
    /** The newest mail to that address with such a subject, once there are as many as that. */
    async mail(address, subject, count = 1) {
      for (let tries = 0; tries < 400; tries += 1) {
        const found = mails.filter((mail) => mail.address === address && subject.test(mail.subject));
        if (found.length >= count) return found.at(-1);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error(`no mail to ${address} about ${subject}: ${mails.map((mail) => `${mail.address}: ${mail.subject}`).join('; ')}`);
    },
    stop: () => new Promise((closed) => server.close(closed)),
  };
}
