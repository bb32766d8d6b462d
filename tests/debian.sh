# Installs what tests need from Debian, about 60 MB, where it is missing and we may; else these tests skip.
packages="python3-gi gir1.2-gst-rtsp-server-1.0"
install="apt-get install -qq --yes --no-install-recommends $packages"
export DEBIAN_FRONTEND=noninteractive

[ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || exit 0
dpkg --status $packages > /dev/null 2>&1 && exit 0
echo "installing $packages"
$install > /dev/null 2>&1 || { apt-get update -qq && $install; } > /dev/null 2>&1 || echo "they cannot be installed"
exit 0
