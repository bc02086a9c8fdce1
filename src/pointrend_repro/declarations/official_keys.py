"""Names of numbers in official tools, where several metrics share them."""

# In the order of pycocotools' summarize(). Areas are in square pixels of the mask: s up to 32**2, m
# up to 96**2, l beyond.
COCO_KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
# Its other six: average recall with 1, 10 and 100 detections of an image, and of sizes with 100.
COCO_AR_KEYS = ("AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
# As lvis names them: r, c and f are categories in 1-10, 11-100 and more than 100 training images.
LVIS_KEYS = (*COCO_KEYS, "APr", "APc", "APf")

# In the order of pycocotools' summarize() for keypoints, which ignores small objects.
COCO_KEYPOINT_KEYS = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")

# Average recall of proposals by their number, and by the objects' area at 1000; and the area under
# its curve.
RECALL_KEYS = (
    *("AR@10", "AR@100", "AR@1000", "AR@1000_S", "AR@1000_M", "AR@1000_L"),
    *("AUC", "AUC_S", "AUC_M", "AUC_L"),
)

# Cityscapes' evaluated classes by official label id, as listed in cityscapesscripts.
STUFF = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky"),
)
THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
