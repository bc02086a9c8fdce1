"""SharpMask's figures; `config/papers/sharpmask/figures.yaml` names them.

Plots of recall show the numbers of the first trial, as the tables do. Pictures are of images that
are chosen by the ground truth alone.
"""
