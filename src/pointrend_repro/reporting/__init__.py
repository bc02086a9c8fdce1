"""From metric files to what people read: tidy numbers, the paper's tables, and one page.

`results` reads the metric files, `collect` makes `metrics.csv` of them, `tables` sets each number
beside the published one, `claims` judges what the paper says of them, `comparison` sets two results
side by side, `exports` and `page` write that down, and `report` does all of it for a
preset. Nothing here imports torch.
"""
