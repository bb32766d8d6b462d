"""Archives: thousands of videos and pictures into one data set, on one machine or a cluster, each exactly once.

``inputs`` lists what is to be read; ``tasks`` and ``joining`` say how, each task by itself; ``local`` and
``ray_engine`` do tasks; ``store`` keeps what they give; ``job`` gives them out.
"""
