# Installs what tests need beside Python where it is missing and we may; else these tests skip.
export DEBIAN_FRONTEND=noninteractive

# GStreamer's RTSP server, 60 MB; Chromium and a font, 350 MB.
for packages in "python3-gi gir1.2-gst-rtsp-server-1.0" "chromium chromium-driver fonts-dejavu-core"; do
    dpkg --status $packages > /dev/null 2>&1 && continue
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || continue
    echo "installing $packages"
    install="apt-get install -qq --yes --no-install-recommends $packages"
    $install > /dev/null 2>&1 || { apt-get update -qq && $install; } > /dev/null 2>&1 || echo "they cannot be installed"
done

# axe-core, 3 MB, into the ignored environment.
if [ ! -f .venv/node_modules/axe-core/axe.min.js ] && command -v npm > /dev/null; then
    echo "installing axe-core"
    npm install --prefix .venv --no-save --no-audit --no-fund axe-core@4 > /dev/null 2>&1 || echo "it cannot be installed"
fi
exit 0
