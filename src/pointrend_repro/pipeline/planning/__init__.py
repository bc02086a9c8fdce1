"""What a preset will take, before anything starts: jobs, GPU-hours, disk and downloads.

`speeds` reads what is published, `jobs` looks at what is there, `gpu_time`, `disk` and `downloads`
reckon, and `plan` puts it together, which `text` words. Nothing here imports torch.
"""
