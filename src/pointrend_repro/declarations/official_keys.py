"""Names that official tools give their numbers, where several metrics share them."""

# As pycocotools' summarize() orders them, and lvis after it.
COCO_KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl")

# Cityscapes' classes by official label id, as cityscapesscripts lists those that are evaluated.
STUFF = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky"),
)
THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
