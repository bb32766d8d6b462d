"""What the paper states, and what it leaves open."""

ACCURACY, LOSS = 92.14, 0.332

REPORT = """\
              precision    recall  f1-score   support

           0       0.89      0.81      0.85        21
           1       0.89      0.89      0.89        18
           2       0.92      0.82      0.87        28
           3       1.00      1.00      1.00        20
           4       0.84      1.00      0.91        21
           5       1.00      1.00      1.00        17
           6       0.94      1.00      0.97        15

    accuracy                           0.92       140
   macro avg       0.93      0.93      0.93       140
weighted avg       0.92      0.92      0.92       140
"""

TABLE_1 = (
    ("[7], seven conv sets", "FER2013", "72.49"),
    ("[8], (64, 128, 512)", "FER2013", "64"),
    ("proposed, (16, 32, 64)", "FER2013 and CK+48", "92.14"),
)

TABLE_2 = (
    ("[9] VGGFace", "IJB-A", "85.8"),
    ("[9] Light CNN", "IJB-A", "90.5 or 85.9 (garbled)"),
    ("[9] center loss", "IJB-A", "90.5 or 85.9 (garbled)"),
    ("[9] FaceNet", "IJB-A", "58.6"),
    ("[11] RNN/CNN", "FER2013", "82.4"),
    ("[14] DCNN", "FER+", "63.08"),
    ("[16] transfer learning", "FER2013", "75.8"),
    ("proposed", "FER2013 and CK+48", "92.14"),
)

ASSUMPTIONS = (
    "Which 1,400 images: CK+48 first (surprise and happy have more than 200, of which 200 are drawn; contempt is left "
    "out), the rest of each class from FER2013. Drawn twice: at random, and only where the label is the FER+ majority.",
    "Which 140 are the test: a random tenth, as it says; beside it a tenth of the persons, since CK+48 holds three "
    "nearly identical frames of each sequence and a random split puts the same moment into both parts.",
    "Exact copies of test images are left out of the training part; what fills the test up comes from FER2013's "
    "PrivateTest without copies elsewhere, so no training has seen a test image. When our head was chosen, on draws "
    "filled up from PublicTest, CK+48's part had been looked at: all draws share its faces.",
    "Padding: none, so 576 values are flattened. Dropout: 0.5 before the last layer. Batch 32, 60 epochs, learning "
    "rate 0.001 falling along a cosine, weight decay 0.0001: the paper names Adam and categorical cross-entropy only.",
    "Augmentation: the paper names none, and its net alone gets none; first trained on FER2013, it gets mirror images, "
    "turns, shifts and scale. Test answers are the mean of a face and its mirror image.",
    "Our trunk stays as it ships: a linear head is fitted to what it sees, at two depths, of the training faces and "
    "their mirror images; a tenth of each target is the answer of `fer2013`, which no test image has taught either.",
    "Detection: Haar or CNN, says the paper; here libfacedetection's CNN, with Haar at choice. Landmarks: by a CNN, of "
    "which it says no more; here a small net of our own finds 68 points. Regions: the outlines of brows, eyes, nose "
    "and mouth around their points, a little widened; where these are not sure, where the mean face has them.",
    "What the net takes: features of the regions, says one section; pictures of 48x48 pixels, says the next, whose "
    "layers are those of Fig. 3. Here it takes pictures; what features add, benchmarks/families.py measures.",
)

REPRODUCED = (
    "Fig. 1: every stage, on one real face; the net reads the crop, features stand beside its answer.",
    "Fig. 2: cut, gray, 48x48; that our net standardizes the crop is our addition.",
    "Fig. 3: the layers as stated; padding and dropout are assumed.",
    "Fig. 4: maps of a happy face, in the `paper` net that ships: taught FER2013, not the 1,400 images.",
    "Fig. 5: measured on our net, as means over faces of FER2013; how the paper found its areas is not said.",
    "Figs. 6, 7: 200 faces of each class; which they are is our draw.",
    "Figs. 8, 9: curves of the first seed; epochs and rate are assumed. A linear head has none.",
    "Fig. 10: the report in the paper's layout, of the first seed; the support of each class is that of our draw.",
    "Fig. 11: the confusion matrix, of all seeds together instead of one split.",
    "Table 1: the proposed net over all seeds, not one split. [7] after its description, since its plan is not public, "
    "and [8] with our recipe, both by `mien compare` on FER2013's own split.",
    "Table 2, RNN/CNN: on the sequences of CK+48, since FER2013 has none, by `mien compare`.",
    "Table 2, DCNN: our net on FER+, seven classes. Transfer learning: our trunk from FER2013 to CK+48, where the "
    "paper names FER2013. Proposed: as in Table 1.",
)

NOT_REPRODUCED = (
    "92.14 % on one unknown split: the table above shows how far the same net comes over many draws and splits; what "
    "lies between is not said in the paper.",
    "Table 2's face nets (VGGFace, Light CNN, center loss, FaceNet) on IJB-A: a data set for recognizing people, not "
    "expressions, no longer given out; the figures are of another task.",
    "Table 1's other rows are figures of other papers on FER2013's own split: they cannot be compared with 140 images "
    "drawn from two data sets. Nets of these plans, trained by `mien compare`, stand beside them where it was run.",
    "Training on texture, motion and geometry: the paper names these features without saying what is computed, nor how "
    "they reach its net. Those that `mien analyze --features` measures are of our choice.",
)
