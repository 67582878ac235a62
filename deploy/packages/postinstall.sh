#!/bin/sh
# After the files of @NAME@ are there. dpkg says "configure" and which version was there
# before, rpm how many versions are there now.
set -e
config=/etc/live777/@NAME@.toml

if ! getent passwd live777 >/dev/null; then
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers /usr/lib/sysusers.d/@NAME@.conf
  else
    useradd --system --user-group --home-dir /var/lib/live777 --no-create-home --shell /usr/sbin/nologin live777
  fi
fi
# Tokens and passwords are in it.
if [ -e "$config" ]; then
  chown root:live777 "$config"
  chmod 640 "$config"
fi

command -v systemctl >/dev/null || exit 0
systemctl daemon-reload >/dev/null 2>&1 || true # systemd does not run in a container
case "$1 $2" in
  "configure ") # the first installation, by dpkg
    systemctl enable --quiet @NAME@.service || true
    systemctl start @NAME@.service || true
    ;;
  "1 "*) # the same, by rpm
    systemctl preset @NAME@.service || true
    ;;
  *)
    # The program has run on until now, and its recordings are sealed before it ends. What
    # it recorded is recorded again as soon as its publishers have come back.
    systemctl try-restart @NAME@.service || echo "@NAME@ was not restarted: the version before runs on" >&2
    ;;
esac
