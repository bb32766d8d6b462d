"""Reports: what was read, as HTML pages that open anywhere, without network.

``lines``, ``columns`` and ``archives`` read results as ``batches``; ``seen`` sums them up, its ``timeline`` in bins;
``figures`` draws, ``thumbnails`` looks up faces, ``video`` and ``index`` make pages of ``parts``, ``writing`` puts them
in their places. Only ``writing`` and what is above it needs plotly.
"""

from mien.app.report.live import Report
from mien.app.report.places import check_place, is_page

__all__ = ["Report", "check_place", "is_page"]
