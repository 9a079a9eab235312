# SPDX-License-Identifier: MIT
# A mail server that filters: python3 maildir.py POLICY PORT FOLDER
import signal, sys
from smtpfilter.aiosmtpd import Controller, Handler
from smtpfilter.delivery import Maildir

policy, port, folder = sys.argv[1:]
ended = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, ended)
controller = Controller(Handler(policy, Maildir(folder)), hostname="127.0.0.1", port=int(port))
controller.start()
signal.sigwait(ended)
controller.stop()
